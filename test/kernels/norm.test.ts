import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { lengths, normal } from '../cases.ts'
import { compare } from './harness.ts'

test('normalizeHeads: every head on its own, the others untouched', async () => {
  for (const tokens of lengths)
    for (const [heads, headDim] of [[1, 8], [3, 16], [2, 80], [1, 130]] as const)
      await compare(`${tokens} tokens, ${heads} heads of ${headDim}`, async b => {
        const n = tokens * heads * headDim
        const x = b.tensor([tokens, heads, headDim], 'f32', normal(n, tokens).map((v, i) => v * (1 + i % 7))), weight = b.tensor([headDim], 'f32', normal(headDim, 2))
        await b.run({ tokens, position: 0, row: 5 }, () => b.k.normalizeHeads({ x, weight, heads, headDim, epsilon: 1e-5 }))
        return { x: { data: await b.k.read(x), tolerance: 2.5e-7 } } // f64 squares in another order: the inverse may differ by one bit
      })
})

test('join: scaled or normalised, onto rows of the whole prompt', async () => {
  for (const tokens of lengths)
    for (const dim of [8, 33, 96])
      for (const [normed, scale] of [[false, 0.22], [true, 1], [true, 0.5]] as const)
        await compare(`${tokens} tokens of ${dim}, norm ${normed}, scale ${scale}`, async b => {
          const row = 3
          const x = b.tensor([tokens, dim], 'f32', normal(tokens * dim, tokens)), out = b.tensor([row + tokens, dim], 'f32', normal((row + tokens) * dim, 7))
          const weight = normed ? b.tensor([dim], 'f32', normal(dim, 2)) : null
          await b.run({ tokens, position: 0, row }, () => b.k.join({ out, x, weight, dim, epsilon: 1e-6, scale }))
          const data = await b.k.read(out)
          assert.equal([...data.subarray(0, row * dim)], [...normal((row + tokens) * dim, 7).subarray(0, row * dim)])
          return { out: { data, tolerance: 5e-7 } } // three roundings
        })
})

test('softcap: scaled, capped, or both', async () => {
  for (const [tokens, n] of [[1, 1], [1, 5], [3, 260], [2, 20000]] as const)
    for (const [scale, cap] of [[0.5, 0], [1, 2], [1, 30], [0.125, 50]] as const)
      await compare(`${tokens} × ${n}, scale ${scale}, cap ${cap}`, async b => {
        const data = normal(tokens * n, n).map((v, i) => v * 10 ** (i % 5 - 2)), x = b.tensor([tokens, n], 'f32', data)
        await b.run({ tokens, position: 0 }, () => b.k.softcap({ x, n, scale, cap }))
        const capped = await b.k.read(x)
        if (cap) assert.ok(capped.every(v => Math.abs(v) <= cap))
        return { x: { data: capped, tolerance: 2e-7 * Math.max(1, cap) } } // 1 − e^… loses what a small tanh has below the last bit of 1
      })
})

test.run()
