import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { lengths, normal } from '../cases.ts'
import { compare } from './harness.ts'

// The kernels' cosine, sine and power are f64 routines of their own: the last bit of an f64 may differ from the host's, which an f32 rarely shows.
const power = 1e-14

for (const rotary of [2, 4, 16, 64, 80, 128])
  test(`frequencies and table, rotary ${rotary}`, async () => {
    for (const base of [10000, 100000, 500000])
      for (const scaled of [false, true])
        for (const [tokens, position, row] of [[1, 0, 0], [5, 0, 2], [3, 130000, 0], [300, 7, 1]] as const)
          await compare(`base ${base}, factors ${scaled}, ${tokens} tokens from ${position}`, async b => {
            const half = rotary / 2
            const factors = scaled ? b.tensor([half], 'f32', Float32Array.from({ length: half }, (_, i) => 1 + i / 3)) : null
            const frequencies = b.tensor([half], 'f64'), table = b.tensor([row + tokens, half, 2], 'f32', new Float32Array((row + tokens) * rotary))
            await b.run({ tokens, position, row }, () => {
              b.k.ropeFrequencies({ out: frequencies, factors, rotary, base })
              b.k.ropeTable({ out: table, frequencies, rotary, magnitude: scaled ? 1.25 : 1 })
            })
            // An angle of 130,000 radians carries the error of its frequency 130,000-fold.
            return { frequencies: { data: await b.k.read(frequencies), tolerance: power }, table: { data: await b.k.read(table), tolerance: 1e-7 } }
          })
  })

test('rope turns pairs and leaves the other channels', async () => {
  for (const tokens of lengths)
    for (const [headDim, rotary] of [[2, 2], [4, 4], [64, 64], [80, 32], [96, 24], [128, 128]] as const)
      for (const halves of [0, 1])
        await compare(`rope ${tokens} tokens, headDim ${headDim}, rotary ${rotary}, halves ${halves}`, async b => {
          const heads = 3, row = 2
          const angles = normal((row + tokens) * rotary / 2, tokens)
          const table = b.tensor([row + tokens, rotary / 2, 2], 'f32', [...angles].flatMap(x => [Math.cos(x), Math.sin(x)]))
          const given = normal(tokens * heads * headDim, 2), x = b.tensor([tokens, heads, headDim], 'f32', given)
          await b.run({ tokens, position: 0, row }, () => b.k.rope({ x, table, heads, headDim, rotary, halves }))
          const turned = await b.k.read(x)
          for (let i = 0; i < tokens * heads; i++)
            assert.equal([...turned.subarray(i * headDim + rotary, (i + 1) * headDim)], [...given.subarray(i * headDim + rotary, (i + 1) * headDim)])
          return { x: { data: turned, tolerance: 5e-7 } } // two products and a sum, each rounded
        })
})

test.run()
