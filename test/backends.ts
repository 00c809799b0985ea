import { reference } from '../src/reference/index.ts'
import { wasm } from '../src/wasm/index.ts'
import type { Kernels } from '../src/kernels/index.ts'

const makers: Record<string, () => Promise<Kernels>> = { wasm: () => wasm() }

/** The backends that are compared with the reference: `BACKENDS=wasm,…`, all by default. One that cannot start fails. */
export const backends: string[] = (process.env['BACKENDS'] ?? 'wasm').split(',').filter(name => name !== 'reference')

export async function start(name: string): Promise<Kernels> {
  if (name === 'reference') return reference()
  const make = makers[name]
  if (!make) throw new RangeError(`BACKENDS must be of reference, ${Object.keys(makers).join(', ')}, got ${name}`)
  return make()
}
