import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { boundBytes, isPacked, rowTypes, strideOf, tileRows, type RowType, type Tensor } from '../../src/kernels/index.ts'
import { grid, headDims, lengths, normal } from '../cases.ts'
import { compare, type Bench } from './harness.ts'

/** The bytes of a KV head's bound tiles. */
async function tiles(b: Bench, segments: Tensor, head: number, type: RowType, headDim: number, pageSize: number, rows: number): Promise<Uint8Array> {
  const address = (await b.k.read(segments, head * 8 + 6, 1))[0]!
  const bytes = boundBytes(type, headDim, pageSize, Math.ceil(rows / pageSize))
  return await b.k.read({ shape: [bytes], type: 'u8', address, bytes }) as Uint8Array
}

interface Case { type: RowType; kvHeads: number; headDim: number; pageSize: number; count: number; split?: number; scale?: number }

async function build(b: Bench, { type, kvHeads, headDim, pageSize, count, split = 0, scale = 1 }: Case, keys: Float32Array = grid(count * kvHeads * headDim, count).map(x => x * scale)): Promise<Uint8Array> {
  const capacity = Math.ceil((count + 1) / 64) * 64
  const segments = await b.segments({ kvHeads, headDim, type, keys, values: keys, count, capacity, split, pageSize })
  await b.run({ tokens: 0, position: 0 }, () => b.k.bounds({ segments, kvHeads, headDim, type: rowTypes[type], pageSize, all: 1 }))
  return tiles(b, segments, kvHeads - 1, type, headDim, pageSize, capacity)
}

for (const type of ['f32', 'i16', 'q8', 'q4', 'q2'] as const) {
  for (const count of [...lengths, 200])
    test(`${type}, ${count} rows`, async () => {
      for (const pageSize of [1, 2, 3, 4, 7, 16, count + 1])
        await compare(`bounds of pages of ${pageSize}`, async b =>
          ({ tiles: { data: await build(b, { type, kvHeads: 2, headDim: 16, pageSize, count }), tolerance: 0 } }))
    })

  for (const headDim of headDims)
    test(`${type}, headDim ${headDim}`, async () => {
      for (const pageSize of [1, 3])
        for (const scale of [1, 1e-3, 1e-30, 1e-37, 1e30, 0])
          await compare(`bounds of pages of ${pageSize}, keys × ${scale}`, async b =>
            ({ tiles: { data: await build(b, { type, kvHeads: 1, headDim, pageSize, count: 130, scale, split: 64 }), tolerance: 0 } }))
    })

  test(`${type}: appending gives the bits of building anew`, async () => {
    for (const pageSize of [1, 2, 3, 5, 64, 100]) {
      const kvHeads = 2, headDim = 20, count = 190, capacity = 192
      await compare(`bounds of pages of ${pageSize}`, async b => {
        const keys = normal(count * kvHeads * headDim, pageSize)
        const whole = await build(b, { type, kvHeads, headDim, pageSize, count }, keys)
        const segments = await b.segments({ kvHeads, headDim, type, keys: new Float32Array(0), values: new Float32Array(0), count: 0, capacity, pageSize })
        let at = 0
        for (let step = 1; at < count; step = step % 7 + 1) {
          const n = Math.min(step * step, count - at)
          const rows = b.tensor([n, kvHeads, headDim], 'f32', keys.subarray(at * kvHeads * headDim, (at + n) * kvHeads * headDim))
          await b.run({ tokens: n, position: at }, () => {
            b.k.append({ segments, keys: rows, values: rows, kvHeads, headDim, type: rowTypes[type] })
            b.k.bounds({ segments, kvHeads, headDim, type: rowTypes[type], pageSize, all: 0 })
            b.k.advance({ segments, kvHeads })
            if (isPacked(type)) b.k.pack({ segments, kvHeads, headDim, type: rowTypes[type] })
          })
          at += n
        }
        // Packing changes keys, so bounds of packed rows are built anew after it.
        if (isPacked(type)) await b.run({ tokens: 0, position: at }, () => b.k.bounds({ segments, kvHeads, headDim, type: rowTypes[type], pageSize, all: 1 }))
        assert.equal([...await tiles(b, segments, kvHeads - 1, type, headDim, pageSize, capacity)], [...whole])
        return {}
      })
    }
  })
}

test('i16 bounds hold every stored key between them, within two steps', async () => {
  await compare('bounds', async b => {
    const headDim = 32, count = 63, pageSize = 3
    for (const scale of [1, 3e-5, 1e-36, 1e30]) {
      const keys = normal(count * headDim, 5).map(x => x * scale)
      const segments = await b.segments({ kvHeads: 1, headDim, type: 'i16', keys, values: keys, count, capacity: 64, pageSize })
      await b.run({ tokens: 0, position: 0 }, () => b.k.bounds({ segments, kvHeads: 1, headDim, type: 1, pageSize, all: 1 }))
      const bytes = await tiles(b, segments, 0, 'i16', headDim, pageSize, 64)
      const codes = new Int16Array(bytes.buffer, 0, 2 * headDim * tileRows), scales = new Float32Array(bytes.buffer, 2 * headDim * tileRows * 2)
      const tail = (await b.k.read(segments, 4, 1))[0]!
      const stored = await b.k.read({ shape: [64 * headDim], type: 'i16', address: tail, bytes: 128 * headDim })
      const keyScales = await b.k.read({ shape: [64], type: 'f32', address: tail + 256 * strideOf(headDim), bytes: 256 })
      for (let row = 0; row < count; row++)
        for (let c = 0; c < headDim; c++) {
          const page = Math.floor(row / pageSize), by = scales[page]!
          const x = Math.fround(stored[row * headDim + c]! * keyScales[row]!)
          const low = codes[c * tileRows + page]!, high = codes[(headDim + c) * tileRows + page]!
          assert.ok(Math.abs(low) <= 4095 && Math.abs(high) <= 4095)
          assert.ok(Math.fround(low * by) <= x && x <= Math.fround(high * by), `row ${row}, channel ${c}`)
        }
    }
    return {}
  })
})

test.run()
