import { reference } from '../src/reference/index.ts'
import { builds, wasm } from '../src/wasm/index.ts'
import type { Kernels } from '../src/kernels/index.ts'

const makers: Record<string, () => Promise<Kernels>> = { wasm: () => wasm(), ...Object.fromEntries(builds.map(build => [build, () => wasm({ build })])) }

/** The backends that are compared with the reference: `BACKENDS=wasm,…`, by default the best wasm build. One that cannot start fails. */
export const backends: string[] = (process.env['BACKENDS'] ?? 'wasm').split(',').filter(name => name !== 'reference')

export async function start(name: string): Promise<Kernels> {
  if (name === 'reference') return reference()
  const make = makers[name]
  if (!make) throw new RangeError(`BACKENDS must be of reference, ${Object.keys(makers).join(', ')}, got ${name}`)
  return make()
}
