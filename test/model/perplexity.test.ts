import { createHash } from 'node:crypto'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { load } from '../../src/load.ts'
import { withLogits } from '../../src/model/logits.ts'
import { withSmollm } from '../models.ts'
import { near } from '../near.ts'
import { divergence, logSum } from './divergence.ts'
import { golden } from './helpers.ts'

interface Case { name: string; text: string; tokenCount: number; idsSha256: string; meanNllNats: number; nllFirst64: number[]; meanNllPer256: number[]; top1Accuracy: number }
const { cases } = golden<{ cases: Case[] }>('model/perplexity.json')

const mean = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0) / values.length

for (const c of cases)
  withSmollm(test, `${c.name}: exact as float32 transformers, fast as exact`, async path => {
    const model = await load(path)
    const ids = model.encode({ prompt: c.text, raw: true })
    assert.is(ids.length, c.tokenCount)
    assert.is(createHash('sha256').update(ids.join(',')).digest('hex'), c.idsSha256)
    const nll: number[] = [], kl: number[] = []
    await withLogits(model.network, { ids, precision: 'exact', kv: 'f32' }, exactAt =>
      withLogits(model.network, { ids, precision: 'fast', kv: 'i16' }, async fastAt => {
        for (let row = 0; row < ids.length - 1; row++) {
          const fast = await fastAt(row), exact = await exactAt(row)
          const sum = logSum(exact)
          nll.push(sum - exact[ids[row + 1]!]!)
          kl.push(divergence(exact, fast, sum))
        }
      }))
    if (process.env['MEASURE']) console.log(c.name, 'mean NLL gap', mean(nll) - c.meanNllNats, 'first 64 gap', Math.max(...c.nllFirst64.map((x, i) => Math.abs(nll[i]! - x))), 'KL', mean(kl), 'max', Math.max(...kl))
    near([mean(nll)], [c.meanNllNats], 1e-4, 'mean NLL')
    near(nll.slice(0, 64), c.nllFirst64, 1e-3, 'NLL of the first tokens')
    assert.ok(mean(kl) <= 1e-5, `KL(exact‖fast) must be at most 1e-5, got ${mean(kl)}`)
    model.free()
  })

test.run()
