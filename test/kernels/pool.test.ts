import { test } from 'uvu'
import { grid, lengths, normal } from '../cases.ts'
import { compare } from './harness.ts'

const registers = { tokens: 0, position: 0 }
const sets = 3

for (const tokens of [...lengths, 1000]) {
  const stride = tokens + 3
  test(`pool ${tokens} tokens`, async () => {
    for (const maximum of [0, 1])
      for (const kernel of [1, 3, 5, 7, 31, 63, 2 * tokens + 1, 2 * tokens + 7])
        for (const [input, data] of [['grid', grid(sets * stride, tokens)], ['bell', normal(sets * stride, kernel)], ['zeros', new Float32Array(sets * stride)]] as const)
          await compare(`pool kernel ${kernel}, maximum ${maximum}, ${input}`, async b => {
            const scores = b.tensor([sets, stride], 'f32', data), out = b.tensor([sets, stride], 'f32')
            await b.run(registers, () => b.k.pool({ out, scores, sets, stride, tokens, kernel, maximum }))
            return { out: { data: await b.k.read(out), tolerance: 0 } }
          })
  })

  test(`sumSets, chunkScore ${tokens} tokens`, async () => {
    for (const sets of [1, 2, 3, 8])
      await compare(`sumSets ${sets} sets`, async b => {
        const scores = b.tensor([sets, stride], 'f32', grid(sets * stride, tokens)), out = b.tensor([1, stride], 'f32')
        await b.run(registers, () => b.k.sumSets({ out, scores, sets, stride, tokens }))
        return { out: { data: await b.k.read(out), tolerance: 0 } }
      })
    for (const chunk of [1, 2, 10, 20, tokens, tokens + 1])
      for (const mean of [0, 1])
        await compare(`chunkScore chunk ${chunk}, mean ${mean}`, async b => {
          const scores = b.tensor([sets, stride], 'f32', normal(sets * stride, tokens)), out = b.tensor([sets, stride], 'f32')
          await b.run(registers, () => b.k.chunkScore({ out, scores, sets, stride, tokens, chunk, mean }))
          return { out: { data: await b.k.read(out), tolerance: 0 } }
        })
  })
}

test.run()
