import { integerLayout, layouts, packedBytes, sources, type Layout } from '../../src/kernels/index.ts'
import { wasm } from '../../src/wasm/index.ts'
import { random } from '../../test/cases.ts'
import { interleave, report, timesOf, type Options } from '../harness.ts'

/** A gate of the 135M model. */
const rows = 1536, columns = 576
const cases: readonly (readonly [Layout, 0 | 1])[] = [
  ...(['Q4_1', 'Q4_0', 'Q8_0', 'IQ4_NL', 'Q5_1', 'Q6_K', 'Q3_K', 'Q2_K'] as const).map(layout => [layout, 0] as const),
  ...(['Q4_1', 'Q8_0', 'Q6_K'] as const).map(layout => [layout, 1] as const), ['F16', 0], ['BF16', 0], ['F32', 0],
]
/** The types of a file that a layout holds. */
const typesOf = (layout: Layout): string => Object.entries(sources).filter(([, source]) => source.layout === layout).map(([name]) => name).join(' ')
const tokenCounts = [1, 2, 3, 4, 7, 64, 256]
/** Weights that one run walks through: more than caches hold, as a model's are when a token reads them. */
const manyBytes = 48 << 20

/** Multiply-adds of `project`: of one matrix again and again, and of many in turn, which come from memory. */
export async function bench(options: Options): Promise<void> {
  const k = await wasm()
  const next = random(1)
  const codes = k.tensor([256, columns], 'i16'), blocks = k.tensor([256, columns / 32, 4], 'f32'), values = k.tensor([256, columns], 'f32')
  k.upload(codes, Int16Array.from({ length: 256 * columns }, () => Math.floor(next() * 65279) - 32639))
  k.upload(blocks, Float32Array.from({ length: 256 * columns / 8 }, () => next()))
  k.upload(values, Float32Array.from({ length: 256 * columns }, () => next() - 0.5))
  const out = k.tensor([256, rows], 'f32')
  for (const [layout, exact] of cases) {
    const name = `project ${layout}${exact ? ' exact' : ''}`
    if (!`${name} ${typesOf(layout)}`.includes(options.only)) continue
    const bytes = packedBytes(layout, rows, columns), copies = Math.ceil(manyBytes / bytes)
    const matrices = Array.from({ length: copies }, () => k.tensor([bytes], 'u8'))
    // Bytes of 60 make normal numbers in every float format.
    k.upload(matrices[0]!, Uint8Array.from({ length: bytes }, (_, i) => i % 2 ? 60 : Math.floor(next() * 256)))
    for (const matrix of matrices.slice(1)) k.copy(matrix, 0, matrices[0]!, 0, bytes)
    const operands = { out, values, codes, blocks, bias: null, layout: layouts[layout], rows, columns, residual: 0, exact } as const
    const same = k.record(() => matrices.forEach(() => k.project({ ...operands, packed: matrices[0]! })))
    const apart = k.record(() => matrices.forEach(packed => k.project({ ...operands, packed })))
    for (const tokens of options.quick ? [1, 256] : tokenCounts) {
      const programs = tokens === 1 ? [['cache', same], ['memory', apart]] as const : [['cache', same]] as const
      const times = await interleave(programs.map(([, program]) => () => k.run(program, { tokens, position: 0 })), { rounds: tokens < 64 ? 9 : 3 })
      for (const [i, [from]] of programs.entries())
        report(options, name, { types: typesOf(layout), rows, columns, tokens, from }, timesOf(times[i]!),
          { unit: 'GMAC/s', amount: copies * rows * columns * tokens, type: integerLayout(layout) && !exact ? 'i16' : 'f32' },
          tokens === 1 ? { 'GB/s': Number((copies * bytes / timesOf(times[i]!).median / 1e6).toFixed(1)) } : {})
    }
    k.release(same)
    k.release(apart)
    k.free(...matrices)
  }
}
