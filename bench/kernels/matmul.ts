// Products per second of `project` on wasm: node --import tsx bench/kernels/matmul.ts
// Rows: layout, shape, tokens; the least and the median of the runs; 10⁹ multiply-adds a second by the median.
import { layouts, packedBytes, type Layout } from '../../src/kernels/index.ts'
import { wasm } from '../../src/wasm/index.ts'
import { random } from '../../test/cases.ts'

const rows = 1536, columns = 576
const cases: readonly (readonly [Layout, 0 | 1])[] = [['Q4_1', 0], ['Q4_0', 0], ['Q8_0', 0], ['Q4_1', 1], ['Q8_0', 1], ['F16', 0], ['BF16', 0], ['F32', 0]]
const tokenCounts = [1, 2, 3, 4, 7, 64, 256]
/** Measured time of one case. */
const wanted = 150

const k = await wasm()
const next = random(1)
const codes = k.tensor([256, columns], 'i16'), blocks = k.tensor([256, columns / 32, 4], 'f32'), values = k.tensor([256, columns], 'f32')
k.upload(codes, Int16Array.from({ length: 256 * columns }, () => Math.floor(next() * 65279) - 32639))
k.upload(blocks, Float32Array.from({ length: 256 * columns / 8 }, () => next()))
k.upload(values, Float32Array.from({ length: 256 * columns }, () => next() - 0.5))
const out = k.tensor([256, rows], 'f32')

console.log(`node ${process.version}, V8 ${process.versions.v8}, ${rows} x ${columns}`)
for (const [layout, exact] of cases) {
  const packed = k.tensor([packedBytes(layout, rows, columns)], 'u8')
  // Bytes of 60 make normal numbers in every float format.
  k.upload(packed, Uint8Array.from({ length: packed.bytes }, (_, i) => i % 2 ? 60 : Math.floor(next() * 256)))
  const program = k.record(() => k.project({ out, values, codes, blocks, packed, bias: null, layout: layouts[layout], rows, columns, residual: 0, exact }))
  for (const tokens of tokenCounts) {
    const times: number[] = []
    for (const end = performance.now() + wanted; performance.now() < end || times.length < 5;) {
      const start = performance.now()
      await k.run(program, { tokens, position: 0 })
      times.push(performance.now() - start)
    }
    times.sort((a, b) => a - b)
    const median = times[times.length >> 1]!
    console.log(JSON.stringify({ kernel: 'project', layout, exact, tokens, min: +times[0]!.toFixed(3), median: +median.toFixed(3),
      rate: +(rows * columns * tokens / median / 1e6).toFixed(1) }))
  }
  k.release(program)
  k.free(packed)
}
