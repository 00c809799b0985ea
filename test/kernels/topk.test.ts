import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { grid, lengths, normal, random } from '../cases.ts'
import { compare } from './harness.ts'

const registers = { tokens: 0, position: 0 }

/** Scores with the hard cases of an order among them. */
function odd(n: number, seed: number): Float32Array {
  const next = random(seed), hard = [NaN, -NaN, Infinity, -Infinity, 0, -0, 1e-45, -1e-45, 1, 1]
  return Float32Array.from({ length: n }, () => next() < 0.5 ? hard[Math.floor(next() * hard.length)]! : next() * 1e-3)
}

const inputs: Record<string, (n: number, seed: number) => Float32Array> = {
  grid, bell: normal, odd,
  equal: n => new Float32Array(n).fill(0.25),
  zeros: n => new Float32Array(n),
  plateaus: (n, seed) => grid(n, seed).map((_, i, all) => all[i - i % 63]!),
}

for (const tokens of [...lengths, 1000])
  for (const [input, make] of Object.entries(inputs))
    test(`topk ${tokens} tokens, ${input}`, async () => {
      const stride = tokens + 1, keeps = [0, 1, tokens >> 1, tokens - 1, tokens, tokens + 9]
      const sets = keeps.length
      for (const [first, last] of [[0, 0], [0, 4], [4, 0], [2, 32], [tokens, 1]] as const)
        await compare(`topk first ${first}, last ${last}`, async b => {
          const scores = b.tensor([sets, stride], 'f32', make(sets * stride, tokens)), keep = b.tensor([sets], 'u32', keeps)
          const rows = b.tensor([sets, tokens], 'u32'), counts = b.tensor([sets], 'u32')
          await b.run(registers, () => b.k.topk({ rows, counts, scores, keep, sets, stride, tokens, first, last, capacity: tokens }))
          return { rows: { data: await b.k.read(rows), tolerance: 0 }, counts: { data: await b.k.read(counts), tolerance: 0 } }
        })
      for (const [chunk, chunks] of [[1, 3], [5, 2], [10, 1], [10, 1000], [tokens + 1, 1]] as const)
        await compare(`topChunks ${chunks} of ${chunk}`, async b => {
          const scores = b.tensor([sets, stride], 'f32', make(sets * stride, tokens))
          const rows = b.tensor([sets, tokens], 'u32'), counts = b.tensor([sets], 'u32')
          await b.run(registers, () => b.k.topChunks({ rows, counts, scores, sets, stride, tokens, chunk, chunks, capacity: tokens }))
          return { rows: { data: await b.k.read(rows), tolerance: 0 }, counts: { data: await b.k.read(counts), tolerance: 0 } }
        })
    })

test('protected rows stay, rows ascend, the count is exact', async () => {
  await compare('properties', async b => {
    const tokens = 257, first = 4, last = 32, capacity = 100, sets = 4
    const scores = b.tensor([sets, tokens], 'f32', normal(sets * tokens)), keep = b.tensor([sets], 'u32', [10, 36, 99, 500])
    const rows = b.tensor([sets, capacity], 'u32'), counts = b.tensor([sets], 'u32')
    await b.run(registers, () => b.k.topk({ rows, counts, scores, keep, sets, stride: tokens, tokens, first, last, capacity }))
    const held = [...await b.k.read(counts)], all = [...await b.k.read(rows)]
    assert.equal(held, [36, 36, 99, 100])
    held.forEach((n, s) => {
      const set = all.slice(s * capacity, s * capacity + n)
      assert.ok(set.every((row, i) => row < tokens && (i === 0 || row > set[i - 1]!)))
      assert.equal(set.slice(0, first), [0, 1, 2, 3])
      assert.equal(set.slice(-last), Array.from({ length: last }, (_, i) => tokens - last + i))
    })
    return {}
  })
})

test('pooled scores of the published vector choose its rows', async () => {
  const s = [0.25087237, 0.600433746, 0.427160114, 1.509807558, 0.254014605, 0.359098151]
  const expected = { 3: [2, 3, 4, 6, 7], 1: [1, 2, 3, 6, 7] }
  for (const kernel of [1, 3] as const)
    await compare(`STAGE1-1, kernel ${kernel}`, async b => {
      const scores = b.tensor([1, 8], 'f32', [...s, 0, 0]), pooled = b.tensor([1, 8], 'f32', new Float32Array(8))
      const keep = b.tensor([1], 'u32', [5]), rows = b.tensor([1, 5], 'u32'), counts = b.tensor([1], 'u32')
      await b.run(registers, () => {
        b.k.pool({ out: pooled, scores, sets: 1, stride: 8, tokens: 6, kernel, maximum: 1 })
        b.k.topk({ rows, counts, scores: pooled, keep, sets: 1, stride: 8, tokens: 8, first: 0, last: 2, capacity: 5 })
      })
      const m = [...await b.k.read(pooled, 0, 6)]
      const low = Math.fround(s[1]!), high = Math.fround(s[3]!)
      if (kernel === 3) assert.equal(m, [low, low, high, high, high, Math.fround(s[5]!)])
      assert.equal([...await b.k.read(rows)], expected[kernel])
      return {}
    })
})

test.run()
