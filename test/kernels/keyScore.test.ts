import { test } from 'uvu'
import { rowTypes, segmentWords } from '../../src/kernels/index.ts'
import { grid, headDims, lengths, normal } from '../cases.ts'
import { compare } from './harness.ts'

const registers = { tokens: 0, position: 0 }

for (const type of ['f32', 'i16', 'q8', 'q4'] as const)
  test(`keyScore ${type}`, async () => {
    for (const difference of [0, 1])
      for (const [counts, dims, split] of [[lengths, [20], 0], [[130], headDims, 64]] as const)
        for (const count of counts)
          for (const headDim of dims)
            await compare(`keyScore of ${count} ${type} rows, headDim ${headDim}, difference ${difference}`, async b => {
              const kvHeads = 2, n = count * kvHeads * headDim, stride = count + 5
              const keys = normal(n, count)
              keys.fill(0, 0, headDim)
              const segments = await b.segments({ kvHeads, headDim, type, keys, values: grid(n), count, split })
              const out = b.tensor([kvHeads, stride], 'f32', new Float32Array(kvHeads * stride).fill(7))
              await b.run(registers, () => b.k.keyScore({ out, segments, kvHeads, stride, tokens: count + 2, headDim, type: rowTypes[type], difference }))
              return { out: { data: await b.k.read(out), tolerance: 2e-6 } }
            })
  })

/** Scores with ties and numbers that are none among them. */
const hard = (n: number, seed: number): Float32Array => normal(n, seed).map((x, i) => i % 7 === 3 ? NaN : i % 5 === 1 ? 0.25 : i % 11 === 2 ? -Infinity : x)

test('shareRows and topk of KV heads with rows of their own number', async () => {
  for (const counts of [[1], [64, 64], [100, 3, 40], [17, 16, 15, 31, 33]])
    for (const make of [normal, hard])
      for (const [first, last] of [[0, 0], [2, 8]] as const)
        for (const floor of [0, 1, 5, 200])
          for (const share of [1, 10, 30, 500])
            await compare(`counts ${counts}, first ${first}, last ${last}, floor ${floor}, share ${share}`, async b => {
              const kvHeads = counts.length, tokens = Math.max(...counts) + 1, stride = tokens + 3
              const segments = b.tensor([kvHeads, segmentWords], 'u32', counts.flatMap(count => [count, ...new Array<number>(segmentWords - 1).fill(0)]))
              const scores = b.tensor([kvHeads, stride], 'f32', make(kvHeads * stride, share)), keep = b.tensor([kvHeads], 'u32')
              const rows = b.tensor([kvHeads, tokens], 'u32', new Uint32Array(kvHeads * tokens)), held = b.tensor([kvHeads], 'u32')
              await b.run(registers, () => {
                b.k.shareRows({ keep, scores, segments, kvHeads, stride, tokens, first, last, floor, total: share * kvHeads })
                b.k.topk({ rows, counts: held, scores, keep, sets: kvHeads, stride, tokens, first, last, capacity: tokens, segments })
              })
              return Object.fromEntries(await Promise.all(Object.entries({ keep, rows, held }).map(async ([name, t]) => [name, { data: await b.k.read(t), tolerance: 0 }] as const)))
            })
})

test('scoreWindow: KV heads with fewer rows than the longest', async () => {
  await compare('counts 90 and 41', async b => {
    const kvHeads = 2, heads = 4, headDim = 20, count = 90, window = 6
    const segments = await b.segments({ kvHeads, headDim, type: 'i16', keys: normal(count * kvHeads * headDim, 5), values: normal(count * kvHeads * headDim, 6), count })
    b.k.upload(segments, [41], segmentWords)
    const ring = b.tensor([window, heads, headDim], 'f32', normal(window * heads * headDim, 7)), out = b.tensor([kvHeads, count], 'f32')
    await b.run({ tokens: 0, position: 200 }, () => b.k.scoreWindow({ out, ring, segments, sets: kvHeads, stride: count, tokens: count, heads, kvHeads, headDim,
      type: rowTypes.i16, ringRows: window, window, scale: headDim ** -0.5 }))
    return { out: { data: await b.k.read(out), tolerance: 2e-5 } }
  })
})

test.run()
