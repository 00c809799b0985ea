import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { expectedAnswer } from '../../src/cache/plan.ts'
import { methods } from '../../src/methods/index.ts'
import { rocketkv } from '../../src/methods/rocketkv.ts'
import { memoryPlan } from '../../src/model/memory.ts'
import { createSequence } from '../../src/model/sequence.ts'
import { wasm } from '../../src/wasm/index.ts'
import { llama1B, shapedNetwork } from '../gguf/shaped.ts'
import { draw, llama, policyOf, someIds, working } from './helpers.ts'

// All memory of long prompts: what is told from lengths alone is what a run takes.

/** Share by which what is taken may differ from what was told. Memory grows ahead and keeps gaps: the plan says by how much at most. */
const tolerance = 0.02
const agree = (took: number, told: { readonly peak: number; readonly slack: number }, what: string): void =>
  assert.ok(took <= told.peak * (1 + tolerance) && took >= (told.peak - told.slack) * (1 - tolerance), `${what}: told ${told.peak}, took ${took}`)

const answer = 8
const shapes = [
  { layers: 1, heads: 2, kvHeads: 1, headDim: 32, dim: 1024, hidden: 256 }, { layers: 2, heads: 2, kvHeads: 2, headDim: 128, dim: 256, hidden: 2048 },
  { layers: 6, heads: 8, kvHeads: 4, headDim: 64, dim: 256, hidden: 256 },
]

for (const shape of shapes)
  for (const tokens of [600, 1800])
    test(`${shape.layers} layers of width ${shape.dim}, ${tokens} tokens: memory as told`, async () => {
      const rows = [...working.filter(({ method }) => ['full', 'rocketkv', 'rocketkv-mt', 'sparq', 'chunkkv'].includes(method)), { method: 'rocketkv', budget: 64, propagate: 'fastkv' }]
      for (const { propagate, ...row } of rows as (typeof working[number] & { propagate?: string })[]) {
        const model = await llama({ ...shape, type: 'Q4_0', context: 8192 }), policy = policyOf(row), options = { policy, budget: row.budget, answer, ...propagate ? { propagate } : {} }
        const told = model.plan({ ...options, tokens })
        const sequence = model.sequence(options)
        await sequence.prefill(someIds(tokens))
        const { used } = model.kernels.memory(), held = told.memory.held - told.memory.slack
        assert.ok(Math.abs(used / held - 1) <= tolerance + 0.5e6 / held, `${row.method}: told ${held} held, got ${used}`)
        await draw(sequence, answer)
        const { memoryBytesPeak, kvBytesPeak } = await sequence.ledger()
        agree(memoryBytesPeak, told.memory, row.method)
        assert.is(kvBytesPeak, told.peak)
        model.free()
      }
    })

const budget = 1024, limit = 4 * 2 ** 30

test("Llama-3.2-1B's shape in q4_0: 131,072 tokens are told to fit 4 GiB under rocketkv, with room to spare", () => {
  const config = llama1B(), kv = 'i16'
  const { footprint, weights, ...told } = memoryPlan(config, { policy: rocketkv(), budget, tokens: 131072, answer: expectedAnswer(512), kv, weights: 775e6, gap: 4 << 20, layouts: ['Q4_0'] })
  const { cache, passing, hidden, angles, activations, scores, scratch, slack, peak, held } = told
  assert.ok(peak < 0.62 * limit, `${peak}`)
  // One state of all tokens, and one layer's rows: the parts that grow with the prompt.
  assert.is(hidden, 131072 * 2048 * 4)
  assert.is(angles, 131072 * (64 + 1) * 4)
  assert.is(passing, 131072 * 8 * (4 * 64 + 12) + 4 * 32 * 32 * 64)
  // An activation of the current token counts in both, as does what lies ready for it.
  assert.ok(Math.abs(weights + cache + passing + hidden + angles + activations + scores + scratch + slack - peak) < 1)
  assert.ok(held < peak && cache >= footprint.held)
  // The full cache would not leave it there.
  assert.ok(memoryPlan(config, { policy: methods.full(), budget, tokens: 131072, answer: 256, kv, weights, gap: 4 << 20, layouts: ['Q4_0'] }).peak > limit)
})

test("Llama-3.2-1B's shape, one layer: 2,048 tokens are read in what was told", async () => {
  const k = await wasm(), config = llama1B(1), network = await shapedNetwork(k, config), { gap, layouts } = network.weights, tokens = 2048
  const policy = rocketkv(), told = memoryPlan(config, { policy, budget, tokens, answer, kv: 'i16', weights: k.memory().used, gap, layouts })
  const sequence = createSequence(network, { policy, budget, answer, kv: 'i16', precision: 'fast' })
  await sequence.prefill(Array.from({ length: tokens }, (_, i) => i * 7919 % config.vocabulary))
  await draw(sequence, 2)
  const { memoryBytesPeak, kvBytesPeak } = await sequence.ledger()
  agree(memoryBytesPeak, told, 'one layer')
  assert.is(kvBytesPeak, told.footprint.peak)
  assert.ok((await sequence.logits()).every(Number.isFinite))
})

test.run()
