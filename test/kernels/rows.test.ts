import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { isPacked, rowBytes, rowTypes, segmentWords, strideOf, tailType, wholeTiles, type RowType, type Tensor } from '../../src/kernels/index.ts'
import { grid, headDims, lengths, normal, random } from '../cases.ts'
import { compare, type Bench } from './harness.ts'

/** Bytes of every part of a segment table, each KV head's after its count. */
async function parts(b: Bench, segments: Tensor, kvHeads: number, type: RowType, headDim: number): Promise<Uint8Array> {
  const words = await b.k.read(segments), all: Uint8Array[] = []
  for (let h = 0; h < kvHeads; h++) {
    const [count, split, base, baseCapacity, tail, tailCapacity] = [...words.subarray(h * segmentWords)] as [number, number, number, number, number, number]
    all.push(Uint8Array.of(count, count >> 8, split))
    for (const [address, capacity, of] of [[base, baseCapacity, type], [tail, tailCapacity, tailType(type)]] as const) {
      const bytes = rowBytes(of, headDim) * capacity
      if (address) all.push(await b.k.read({ shape: [bytes], type: 'u8', address, bytes }) as Uint8Array)
    }
  }
  return Buffer.concat(all)
}

const scales = [1, 1e-3, 1e-30, 2 ** -116, 2 ** -117, 1e-40, 1e30, 0]

const types: RowType[] = ['f32', 'i16', 'q8', 'q4', 'q2']

for (const type of types) {
  test(`append packs ${type} rows bit for bit`, async () => {
    for (const headDim of headDims)
      for (const split of [0, 64])
        await compare(`append headDim ${headDim}, split ${split}`, async b => {
          const kvHeads = 3, count = 70, n = count * kvHeads * headDim
          const rows = (seed: number): Float32Array => normal(n, seed).map((x, i) => x * scales[Math.floor(i / headDim) % scales.length]!)
          const segments = await b.segments({ kvHeads, headDim, type, keys: rows(1), values: rows(2), count, split, capacity: 128 })
          return { bytes: { data: await parts(b, segments, kvHeads, type, headDim), tolerance: 0 } }
        })
  })

  test(`${type} rows appended in pieces`, async () => {
    for (const first of [1, 63, 64, 65])
      await compare(`append after ${first}`, async b => {
        const kvHeads = 2, headDim = 4, more = 67, step = kvHeads * headDim
        const segments = await b.segments({ kvHeads, headDim, type, keys: grid(first * step), values: grid(first * step, 2), count: first, split: 64, capacity: 192 })
        const keys = b.tensor([more, kvHeads, headDim], 'f32', grid(more * step, 3)), values = b.tensor([more, kvHeads, headDim], 'f32', grid(more * step, 4))
        await b.run({ tokens: more, position: 1000 }, () => {
          b.k.append({ segments, keys, values, kvHeads, headDim, type: rowTypes[type] })
          b.k.advance({ segments, kvHeads })
          if (isPacked(type)) b.k.pack({ segments, kvHeads, headDim, type: rowTypes[type] })
        })
        return { bytes: { data: await parts(b, segments, kvHeads, type, headDim), tolerance: 0 } }
      })
  })

  test(`gather ${type} rows in place, to another segment, from a shared part`, async () => {
    for (const count of [...lengths, 200])
      for (const [sets, inPlace, split] of [[2, true, 0], [1, true, 0], [2, false, 0], [2, false, 64]] as const) {
        if (inPlace && isPacked(type)) continue
        await compare(`gather ${count} rows by ${sets} sets, in place ${inPlace}, split ${split}`, async b => {
          const kvHeads = 2, headDim = 20, n = count * kvHeads * headDim, next = random(count)
          const from = await b.segments({ kvHeads, headDim, type, keys: normal(n), values: normal(n, 2), count, split: count > 64 ? split : 0 })
          const to = inPlace ? from : await b.segments({ kvHeads, headDim, type, keys: new Float32Array(0), values: new Float32Array(0), count: 0, capacity: Math.ceil(count / 64) * 64 })
          const kept = Array.from({ length: sets }, () => Array.from({ length: count }, (_, i) => i).filter(() => next() < 0.6))
          const rows = b.tensor([sets, count], 'u32', kept.flatMap(set => [...set, ...new Array<number>(count - set.length).fill(0)]))
          const counts = b.tensor([sets], 'u32', kept.map(set => set.length))
          await b.run({ tokens: 0, position: 0 }, () => b.k.gather({ to, from, rows, counts, sets, capacity: count, kvHeads, headDim, type: rowTypes[type], fromType: rowTypes[type] }))
          return { bytes: { data: await parts(b, to, kvHeads, type, headDim), tolerance: 0 } }
        })
      }
  })
}

for (const type of ['q8', 'q4', 'q2'] as const) {
  test(`all rows of every type become ${type} rows`, async () => {
    for (const fromType of types)
      for (const count of [1, 63, 64, 65, 200])
        await compare(`gather ${count} rows of ${fromType}`, async b => {
          const kvHeads = 2, headDim = 36, n = count * kvHeads * headDim
          const from = await b.segments({ kvHeads, headDim, type: fromType, keys: normal(n), values: normal(n, 2), count })
          const to = await b.segments({ kvHeads, headDim, type, keys: new Float32Array(0), values: new Float32Array(0), count: 0, capacity: wholeTiles(count) })
          await b.run({ tokens: 0, position: 0 }, () => b.k.gather({ to, from, rows: null, counts: null, sets: kvHeads, capacity: 0, kvHeads, headDim, type: rowTypes[type], fromType: rowTypes[fromType] }))
          return { bytes: { data: await parts(b, to, kvHeads, type, headDim), tolerance: 0 } }
        })
  })

  test(`${type} rows come back within half a step of their channel's (key) or row's (value) range`, async () => {
    const bits = { q8: 8, q4: 4, q2: 2 }[type], steps = 2 ** bits - 1, headDim = 20, count = 64
    await compare('round trip', async b => {
      for (const scale of [1, 1e-3, 1e-30, 1e30, 0]) {
        const keys = normal(count * headDim, 3).map((x, i) => scale * (x * (1 + i % 5) + i % 3)), values = normal(count * headDim, 4).map(x => x * scale)
        const packed = await b.segments({ kvHeads: 1, headDim, type, keys, values, count, capacity: 64 })
        const words = await b.k.read(packed), stride = strideOf(headDim), vector = stride * bits / 8
        assert.equal([words[0], words[1]], [64, 64])
        const bytes = await b.k.read({ shape: [64 * rowBytes(type, headDim)], type: 'u8', address: words[2]!, bytes: 64 * rowBytes(type, headDim) }) as Uint8Array
        const numbers = new Float32Array(bytes.buffer, 128 * vector, 2 * stride + 128), positions = new Uint32Array(bytes.buffer, bytes.length - 256)
        const code = (of: number, row: number, c: number): number => type === 'q8' ? new Int8Array(bytes.buffer)[of + row * vector + c]!
          : type === 'q4' ? (bytes[of + row * vector + (c >> 4) * 8 + c % 8]! >> (c & 8 ? 4 : 0) & 15) - 8
          : (bytes[of + row * vector + (c >> 4) * 4 + c % 4]! >> 2 * (c % 16 >> 2) & 3) - 2
        for (let row = 0; row < count; row++) {
          assert.is(positions[row], row)
          for (let c = 0; c < headDim; c++) {
            const [keyScale, keyOffset, valueScale, valueOffset] = [c, stride + c, 2 * stride + row, 2 * stride + 64 + row].map(i => numbers[i]!) as [number, number, number, number]
            const range = (x: readonly number[]): number => Math.max(...x) - Math.min(...x)
            const column = range(Array.from({ length: 64 }, (_, r) => keys[r * headDim + c]!)), line = range([...values.subarray(row * headDim, (row + 1) * headDim)])
            const x = keys[row * headDim + c]!, y = values[row * headDim + c]!
            assert.ok(Math.abs(keyOffset + keyScale * code(0, row, c) - x) <= 0.501 * column / steps + 1e-6 * Math.abs(x), `key ${row}, ${c}, scale ${scale}`)
            assert.ok(Math.abs(valueOffset + valueScale * code(64 * vector, row, c) - y) <= 0.501 * line / steps + 1e-6 * Math.abs(y), `value ${row}, ${c}, scale ${scale}`)
          }
        }
      }
      return {}
    })
  })
}

for (const type of ['f32', 'i16'] as const)
  test(`positions of appended ${type} rows as told`, async () => {
    for (const [count, row] of [[1, 0], [60, 3], [64, 7], [200, 0]] as const)
      await compare(`reposition after ${count} rows, from row ${row}`, async b => {
        const kvHeads = 2, headDim = 20, more = 9, n = more * kvHeads * headDim
        const segments = await b.segments({ kvHeads, headDim, type, keys: grid(count * kvHeads * headDim), values: grid(count * kvHeads * headDim, 2), count, split: count >= 64 ? 64 : 0, capacity: 256 })
        const keys = b.tensor([more, kvHeads, headDim], 'f32', grid(n, 3)), values = b.tensor([more, kvHeads, headDim], 'f32', grid(n, 4))
        const positions = b.tensor([row + more], 'u32', Array.from({ length: row + more }, (_, i) => 1000 + 7 * i))
        await b.run({ tokens: more, position: 500, row }, () => {
          b.k.append({ segments, keys, values, kvHeads, headDim, type: rowTypes[type] })
          b.k.reposition({ segments, positions, kvHeads, headDim, type: rowTypes[type] })
          b.k.advance({ segments, kvHeads })
        })
        return { bytes: { data: await parts(b, segments, kvHeads, type, headDim), tolerance: 0 } }
      })
  })

test('rows of a tensor move up in place', async () => {
  for (const width of [1, 20, 256, 257, 600])
    for (const share of [0, 0.3, 1])
      await compare(`gatherRows of width ${width}, a share of ${share}`, async b => {
        const many = 40, next = random(width), data = grid(many * width)
        const kept = Array.from({ length: many }, (_, i) => i).filter(i => next() < share || i === many - 1)
        const x = b.tensor([many, width], 'f32', data), rows = b.tensor([kept.length], 'u32', kept)
        await b.run({ tokens: 0, position: 0 }, () => b.k.gatherRows({ x, rows, count: kept.length, width }))
        const moved = await b.k.read(x, 0, many * width)
        assert.equal([...moved.subarray(0, kept.length * width)], kept.flatMap(row => [...data.subarray(row * width, (row + 1) * width)]))
        return { x: { data: moved, tolerance: 0 } }
      })
})

test('the ring holds the last queries, whatever the batches', async () => {
  for (const window of [1, 4, 32])
    for (const batches of [[1, 1, 1], [3, 40, 2], [100], [33, 31]])
      await compare(`observe window ${window}, batches ${batches}`, async b => {
        const heads = 3, headDim = 4, step = heads * headDim, total = batches.reduce((sum, n) => sum + n, 0)
        const all = grid(total * step), ring = b.tensor([window, heads, headDim], 'f32')
        let at = 0
        for (const n of batches) {
          const query = b.tensor([n, heads, headDim], 'f32', all.subarray(at * step, (at + n) * step))
          await b.run({ tokens: n, position: at }, () => b.k.observe({ ring, query, heads, headDim, window }))
          at += n
        }
        const held = await b.k.read(ring)
        for (let p = Math.max(0, total - window); p < total; p++)
          assert.equal([...held.subarray(p % window * step, (p % window + 1) * step)], [...all.subarray(p * step, (p + 1) * step)])
        return { ring: { data: held, tolerance: 0 } }
      })
})

test.run()
