import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { advanced, createLayer, freeLayer } from '../../src/cache/layer.ts'
import type { Tensor } from '../../src/kernels/index.ts'
import { load, type Model } from '../../src/load.ts'
import { prefill, shapeOf } from '../../src/model/prefill.ts'
import { withSmollm } from '../models.ts'
import { near } from '../near.ts'
import { followsWhereClear, golden, run, type Greedy } from './helpers.ts'

interface Sample { layer: number; head: number; pos: number; rotateHalfOrder?: number[]; values?: number[] }
interface Case {
  name: string; text: string; ids: number[]
  lastLogits: { top20: [number, number][]; mean: number; std: number; min: number; max: number }
  greedy48: Greedy & { text: string }
  debug?: { kPostRope: Sample[]; v: Sample[]; qPostRope: Sample[] }
}
const { cases } = golden<{ cases: Case[] }>('model/prompts.json')

/** The issue asks for 2e-2; measured are 1e-4 at most, and goldens have seven digits. */
const logitTolerance = 1e-3

function checkLogits(logits: Float32Array, { top20, mean, std, min, max }: Case['lastLogits'], what: string): void {
  near(top20.map(([id]) => logits[id]!), top20.map(([, value]) => value), logitTolerance, `${what}: top 20`)
  const all = Array.from(logits), average = all.reduce((a, b) => a + b) / all.length
  const deviation = Math.sqrt(all.reduce((sum, x) => sum + (x - average) ** 2, 0) / all.length)
  near([average, deviation, all.reduce((a, b) => Math.min(a, b)), all.reduce((a, b) => Math.max(a, b))], [mean, std, min, max], logitTolerance, `${what}: mean, deviation, extremes`)
}

/** Keys, values and queries of a prompt in a few places, the golden's channels in the file's order. */
async function checkRows(model: Model, { ids, debug }: Case): Promise<void> {
  const { kPostRope, v, qPostRope } = debug!
  const { network, kernels: k } = model
  const o = { k, shape: shapeOf(network), kv: 'f32' as const }, { kvHeads, heads, headDim } = o.shape
  const interleaved = (halves: readonly number[]): number[] => halves.map((_, c) => halves[(c % 2) * headDim / 2 + (c >> 1)]!)
  const row = (t: Tensor, at: number): Promise<ArrayLike<number>> =>
    k.read({ shape: [headDim], type: 'f32', address: t.address + at * headDim * 4, bytes: headDim * 4 })
  let layer = createLayer(o, { rows: Array.from({ length: kvHeads }, () => ids.length), ring: ids.length })
  await prefill(network, 'exact', {
    ids, start: 0, finish: async () => {},
    receiver: {
      enter: () => layer,
      async leave(index) {
        advanced(layer, ids.length)
        const here = (sample: Sample): boolean => sample.layer === index
        for (const { head, pos, rotateHalfOrder } of kPostRope.filter(here))
          near(await row(layer.heads[head]!.tail, pos), interleaved(rotateHalfOrder!), 1e-4, `key ${pos} of layer ${index}`)
        for (const { head, pos, values } of v.filter(here))
          near(await row(layer.heads[head]!.tail, layer.heads[head]!.tailCapacity + pos), values!, 1e-4, `value ${pos} of layer ${index}`)
        for (const { head, pos, rotateHalfOrder } of qPostRope.filter(here))
          near(await row(layer.ring!, pos * heads + head), interleaved(rotateHalfOrder!), 1e-4, `query ${pos} of layer ${index}`)
        freeLayer(o, layer)
        layer = createLayer(o, { rows: Array.from({ length: kvHeads }, () => ids.length), ring: ids.length })
      },
    },
  })
  freeLayer(o, layer)
}

withSmollm(test, 'prompts, exact: rows, logits and 48 tokens of float32 transformers', async path => {
  const model = await load(path, { precision: 'exact' })
  await checkRows(model, cases.find(c => c.debug)!)
  for (const c of cases) {
    assert.equal(model.encode({ prompt: c.text, raw: true }), c.ids, `${c.name}: ids`)
    const { logits, tokens } = await run(model, { ids: c.ids, n: c.greedy48.ids.length })
    checkLogits(logits, c.lastLogits, c.name)
    followsWhereClear(tokens, c.greedy48, c.name)
    if (tokens.every((id, i) => id === c.greedy48.ids[i])) assert.is(model.tokenizer.decode(tokens), c.greedy48.text)
  }
  model.free()
})

withSmollm(test, 'prompts, fast: the same text', async path => {
  const model = await load(path)
  for (const c of cases) followsWhereClear((await run(model, { ids: c.ids, n: c.greedy48.ids.length })).tokens, c.greedy48, c.name)
  model.free()
})

test.run()
