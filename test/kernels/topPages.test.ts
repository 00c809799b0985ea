import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { Tensor } from '../../src/kernels/index.ts'
import { grid, lengths, normal } from '../cases.ts'
import { compare, type Bench } from './harness.ts'

const rowsOf = async (b: Bench, rows: Tensor, counts: Tensor, capacity: number, set = 0): Promise<number[]> =>
  [...await b.k.read(rows, set * capacity, (await b.k.read(counts))[set]!)]

const segmentsOf = (b: Bench, count: number, kvHeads = 1): Promise<Tensor> =>
  b.segments({ kvHeads, headDim: 2, type: 'f32', keys: grid(2 * count * kvHeads), values: grid(2 * count * kvHeads), count })

const weights: Record<string, (n: number) => Float32Array> = {
  bell: n => normal(n, n), grid: n => grid(n, n), equal: n => new Float32Array(n).fill(0.01), rising: n => Float32Array.from({ length: n }, (_, i) => i),
}

for (const count of [...lengths, 200])
  for (const [input, make] of Object.entries(weights))
    test(`topPages of ${count} rows, ${input}`, async () => {
      for (const pageSize of [1, 2, 3, 16, count, count + 1])
        await compare(`pages of ${pageSize}`, async b => {
          const kvHeads = 2, sets = 4, stride = Math.ceil(count / pageSize) + 2, capacity = count + 40
          const segments = await segmentsOf(b, count, kvHeads)
          const w = b.tensor([sets, stride], 'f32', make(sets * stride))
          const outputs: Record<string, { data: ArrayLike<number>; tolerance: number }> = {}
          for (const tokens of new Set([0, 1, pageSize, pageSize + 1, count >> 1, count - 1, count, count + 9]))
            for (const [first, last] of [[0, 0], [4, 32], [1, 0], [0, 1]] as const)
              for (const newest of [0, 1]) {
                const rows = b.tensor([sets, capacity], 'u32'), counts = b.tensor([sets], 'u32')
                await b.run({ tokens: 0, position: 0 }, () =>
                  b.k.topPages({ rows, counts, weights: w, segments, sets, kvHeads, pageSize, stride, tokens, first, last, newest, capacity }))
                const name = `${tokens} tokens, first ${first}, last ${last}, newest ${newest}`
                outputs[name] = { data: await b.k.read(rows), tolerance: 0 }
                outputs[`count of ${name}`] = { data: await b.k.read(counts), tolerance: 0 }
                for (const n of await b.k.read(counts)) {
                  const least = Math.min(count, newest ? 1 : tokens, count)
                  assert.ok(n >= least && n <= count)
                  if (!newest && !first && !last) assert.is(n, Math.min(tokens, count))
                }
              }
          return outputs
        })
    })

test('the page of the lowest rank is cut to its first rows', async () => {
  await compare('topPages', async b => {
    const run = async (count: number, pageSize: number, page: number[], tokens: number, first = 0, last = 0, newest = 0): Promise<number[]> => {
      const segments = await segmentsOf(b, count), capacity = tokens + first + last + pageSize
      const w = b.tensor([1, page.length], 'f32', page), rows = b.tensor([1, capacity], 'u32'), counts = b.tensor([1], 'u32')
      await b.run({ tokens: 0, position: 0 }, () =>
        b.k.topPages({ rows, counts, weights: w, segments, sets: 1, kvHeads: 1, pageSize, stride: page.length, tokens, first, last, newest, capacity }))
      return rowsOf(b, rows, counts, capacity)
    }
    assert.equal(await run(9, 3, [1, 3, 2], 4), [3, 4, 5, 6])
    assert.equal(await run(9, 3, [2, 2, 2], 4), [0, 1, 2, 3])
    // Four pages, the last of one row and the best: two more are needed.
    assert.equal(await run(10, 3, [1, 2, 3, 4], 4), [6, 7, 8, 9])
    assert.equal(await run(10, 3, [1, 2, 3, 4], 6), [3, 4, 6, 7, 8, 9])
    assert.equal(await run(10, 3, [1, 2, 3, 4], 9), [0, 1, 3, 4, 5, 6, 7, 8, 9])
    assert.equal(await run(11, 3, [1, 2, 3, 2.5], 4), [6, 7, 8, 9])
    assert.equal(await run(10, 3, [1, 2, 3, 4], 3, 1, 2), [0, 6, 7, 8, 9])
    assert.equal(await run(10, 3, [9, 1, 1, 0], 6, 0, 0, 1), [0, 1, 2, 9])
    assert.equal(await run(10, 3, [9, 1, 1, 0], 2, 0, 0, 1), [9])
    assert.equal(await run(10, 3, [9, 1, 1, 0], 10, 0, 0, 1), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
    return {}
  })
})

test('rows that are appended count before they are advanced', async () => {
  await compare('T = 1', async b => {
    const segments = await segmentsOf(b, 7), w = b.tensor([1, 4], 'f32', [1, 2, 3, 9])
    const rows = b.tensor([1, 8], 'u32'), counts = b.tensor([1], 'u32'), ends = b.tensor([1, 8], 'u32'), n = b.tensor([1], 'u32')
    await b.run({ tokens: 1, position: 7 }, () => {
      b.k.topPages({ rows, counts, weights: w, segments, sets: 1, kvHeads: 1, pageSize: 2, stride: 4, tokens: 3, first: 0, last: 0, newest: 0, capacity: 8 })
      b.k.firstAndLast({ rows: ends, counts: n, segments, kvHeads: 1, first: 2, last: 2, capacity: 8 })
    })
    assert.equal(await rowsOf(b, rows, counts, 8), [4, 6, 7])
    assert.equal(await rowsOf(b, ends, n, 8), [0, 1, 6, 7])
    return {}
  })
})

test('first and last rows never twice', async () => {
  for (const count of lengths)
    for (const [first, last] of [[0, 0], [4, 0], [0, 4], [4, 32], [1, 1], [500, 500]] as const)
      await compare(`${count} rows, first ${first}, last ${last}`, async b => {
        const kvHeads = 2, segments = await segmentsOf(b, count, kvHeads)
        const rows = b.tensor([kvHeads, count], 'u32'), counts = b.tensor([kvHeads], 'u32')
        await b.run({ tokens: 0, position: 0 }, () => b.k.firstAndLast({ rows, counts, segments, kvHeads, first, last, capacity: count }))
        return { rows: { data: await b.k.read(rows), tolerance: 0 }, counts: { data: await b.k.read(counts), tolerance: 0 } }
      })
})

test.run()
