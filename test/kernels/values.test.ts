import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { rowTypes } from '../../src/kernels/index.ts'
import { grid, groups, headDims, lengths, normal } from '../cases.ts'
import { compare } from './harness.ts'

for (const type of ['f32', 'i16', 'q8', 'q4', 'q2'] as const) {
  // f32 holds sums of grid numbers exactly; code × scale is rounded, offset + code × scale once more, and so is every step of their sum;
  // four codes lie so far from what they stand for that q2's sums grow larger on their way.
  const tolerance = type === 'f32' ? 0 : type === 'i16' ? 1e-5 : type === 'q2' ? 8e-5 : 4e-5

  test(`sums of ${type} values`, async () => {
    for (const count of [...lengths, 200])
      for (const headDim of headDims)
        await compare(`sumValues of ${count} rows, headDim ${headDim}`, async b => {
          const kvHeads = 2, n = count * kvHeads * headDim
          const segments = await b.segments({ kvHeads, headDim, type, keys: grid(n), values: grid(n, count), count, split: count > 64 ? 64 : 0, capacity: Math.ceil((count + 1) / 64) * 64 })
          const sums = b.tensor([kvHeads, headDim], 'f32')
          await b.run({ tokens: 0, position: 0 }, () => b.k.sumValues({ sums, segments, kvHeads, headDim, type: rowTypes[type], all: 1 }))
          return { sums: { data: await b.k.read(sums), tolerance } }
        })
  })

  test(`${type} values added later give the bits of one sum`, async () => {
    await compare('sumValues', async b => {
      const kvHeads = 2, headDim = 20, count = 90, step = kvHeads * headDim, values = normal(count * step)
      const segments = await b.segments({ kvHeads, headDim, type, keys: new Float32Array(0), values: new Float32Array(0), count: 0, capacity: 128 })
      const sums = b.tensor([kvHeads, headDim], 'f32', new Float32Array(step)), whole = b.tensor([kvHeads, headDim], 'f32')
      for (let at = 0, n = 1; at < count; at += n, n = Math.min(n + 3, count - at)) {
        const rows = b.tensor([n, kvHeads, headDim], 'f32', values.subarray(at * step, (at + n) * step))
        await b.run({ tokens: n, position: at }, () => {
          b.k.append({ segments, keys: rows, values: rows, kvHeads, headDim, type: rowTypes[type] })
          b.k.sumValues({ sums, segments, kvHeads, headDim, type: rowTypes[type], all: 0 })
          b.k.advance({ segments, kvHeads })
        })
      }
      await b.run({ tokens: 0, position: 0 }, () => b.k.sumValues({ sums: whole, segments, kvHeads, headDim, type: rowTypes[type], all: 1 }))
      const added = [...await b.k.read(sums)], once = [...await b.k.read(whole)]
      if (b.k.name !== 'reference') assert.equal(added, once) // the reference rounds f64 sums where it stores them
      return { added: { data: added, tolerance: 1e-5 } }
    })
  })
}

test('the mean value stands for the rows that were not read', async () => {
  for (const group of groups)
    for (const headDim of [2, 20, 64])
      for (const perHead of [false, true])
        await compare(`blendMean group ${group}, headDim ${headDim}, sets per head ${perHead}`, async b => {
          const kvHeads = 2, heads = kvHeads * group, count = 70, stride = count + 3, sets = perHead ? heads : kvHeads, capacity = 10
          const segments = await b.segments({ kvHeads, headDim, type: 'f32', keys: grid(count * kvHeads * headDim), values: grid(count * kvHeads * headDim), count })
          const out = b.tensor([heads, headDim], 'f32', normal(heads * headDim, 3)), sums = b.tensor([kvHeads, headDim], 'f32', normal(kvHeads * headDim, 4))
          const scores = b.tensor([heads, stride], 'f32', normal(heads * stride, 5)), temperature = b.tensor([heads], 'f32', Float32Array.from({ length: heads }, (_, h) => 1 + h / 2))
          const rows = b.tensor([sets, capacity], 'u32', Uint32Array.from({ length: sets * capacity }, (_, i) => i % capacity * 7 + i % 3))
          const counts = b.tensor([sets], 'u32', Uint32Array.from({ length: sets }, (_, i) => 1 + i % capacity))
          await b.run({ tokens: 0, position: 0 }, () =>
            b.k.blendMean({ out, sums, scores, temperature, rows, counts, segments, sets, capacity, heads, kvHeads, headDim, stride }))
          return { out: { data: await b.k.read(out), tolerance: 1e-6 } } // exp in f32
        })
})

test('where every row was read nothing changes', async () => {
  await compare('blendMean', async b => {
    const count = 9, headDim = 4, given = normal(headDim, 8)
    const segments = await b.segments({ kvHeads: 1, headDim, type: 'f32', keys: grid(count * headDim), values: grid(count * headDim), count })
    const out = b.tensor([1, headDim], 'f32', given), sums = b.tensor([1, headDim], 'f32', grid(headDim)), scores = b.tensor([1, count], 'f32', normal(count))
    const temperature = b.tensor([1], 'f32', [2]), rows = b.tensor([1, count], 'u32', Array.from({ length: count }, (_, i) => i)), counts = b.tensor([1], 'u32', [count])
    await b.run({ tokens: 0, position: 0 }, () =>
      b.k.blendMean({ out, sums, scores, temperature, rows, counts, segments, sets: 1, capacity: count, heads: 1, kvHeads: 1, headDim, stride: count }))
    assert.equal([...await b.k.read(out)], [...given])
    return {}
  })
})

test.run()
