import type { Options } from '../harness.ts'

/** In this order; a line each. */
const parts: readonly (() => Promise<{ bench(options: Options): Promise<void> }>)[] = [
  () => import('./roof.ts'),
  () => import('./matmul.ts'),
  () => import('./attend.ts'),
  () => import('./select.ts'),
]

/** One kernel at a time: against its roof, then by shape. */
export async function bench(options: Options): Promise<void> {
  for (const part of parts) await (await part()).bench(options)
}
