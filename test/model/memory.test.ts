import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { load } from '../../src/load.ts'
import { exactTopk } from '../../src/methods/exact-topk.ts'
import { full } from '../../src/methods/full.ts'
import { rocketkv } from '../../src/methods/rocketkv.ts'
import { neededBytes } from '../../src/model/generate.ts'
import { createReading } from '../../src/model/reading.ts'
import { tiny, withSmollm } from '../models.ts'
import { draw, golden, llama, someIds } from './helpers.ts'

// Memory is told before it is spent: what a run takes at most is known from lengths alone.

const { samples } = golden<{ samples: { len: number; text: string }[] }>('quality/needle.json')

/** Share by which the memory that is taken may differ from what was told: scratch, programs, whole pages. Measured: 0.006. */
const tolerance = 0.03

/** The limit for 7.6k prompt tokens and 64 of an answer under rocketkv, budget 256. */
const mostBytes = 260e6

withSmollm(test, 'memory of the 135M model: as told for 2k tokens, within 260 MB for 7.6k', async path => {
  const model = await load(path), weights = model.kernels.memory().used, method = rocketkv(), answer = 8
  const story = model.generate({ prompt: samples.find(s => s.len === 2000)!.text, raw: true }, { method, budget: 256, maxTokens: answer })
  await story.all()
  const told = weights + neededBytes(model, { policy: method, budget: 256, tokens: story.promptTokens, answer }), peak = story.ledger!.memoryBytesPeak
  assert.ok(Math.abs(peak / told - 1) <= tolerance, `told ${told}, took ${peak}`)
  const long = weights + neededBytes(model, { policy: method, budget: 256, tokens: 7600, answer: 64 })
  assert.ok(long <= mostBytes, `7.6k tokens: ${long} bytes`)
  model.free()
})

/** The error of a promise that must fail. */
const failure = (promise: Promise<unknown>): Promise<Error & { code?: string }> =>
  promise.then(() => assert.unreachable('it fit') as never, (error: Error) => error)

test('what does not fit is refused before a byte is taken', async () => {
  const ids = someIds(8000), options = { method: full(), maxTokens: 16 }
  const free = await load(tiny), needed = free.kernels.memory().used + neededBytes(free, { policy: options.method, budget: 512, tokens: ids.length, answer: options.maxTokens })
  const model = await load(tiny, { limit: needed - 1 }), before = model.kernels.memory()
  const error = await failure(model.generate({ ids }, options).all())
  assert.is(error.code, 'memory')
  assert.match(error.message, /^memory must stay within \d+ MB, got \d+ MB of weights and \d+ MB for 8000 prompt tokens under full; kv q8 or kv q4 or a prompt of 7900 tokens would fit$/)
  assert.equal(model.kernels.memory(), before)
  // What the method saves is what lets it fit.
  const story = model.generate({ ids }, { ...options, method: rocketkv(), budget: 256, ignoreEos: true })
  await story.all()
  assert.is(story.tokens.length, options.maxTokens)
  assert.ok(story.ledger!.memoryBytesPeak < needed)
  model.free()
})

test('a refusal names budgets, cache types and lengths that fit, and they do', async () => {
  const ids = someIds(5000), method = rocketkv(), maxTokens = 16, limitOf = async (need: { budget: number; kv?: 'f32' | 'i16'; tokens?: number }): Promise<number> => {
    const free = await load(tiny, { kv: 'f32' })
    const limit = free.kernels.memory().used + neededBytes(free, { policy: method, answer: maxTokens, tokens: ids.length, ...need })
    free.free()
    return limit
  }
  const limit = await limitOf({ budget: 256 }), model = await load(tiny, { limit, kv: 'f32' })
  const error = await failure(model.generate({ ids }, { method, budget: 1024, maxTokens }).all())
  const [, budget, kv, tokens] = /under rocketkv; a budget of (\d+) or kv (\w+) or kv q8 or kv q4 or a prompt of (\d+) tokens would fit$/.exec(error.message) ?? []
  assert.equal([budget, kv], ['256', 'i16'], error.message)
  for (const [given, options] of [[ids, { budget: 256 }], [ids.slice(0, Number(tokens)), { budget: 1024 }]] as const)
    await model.generate({ ids: given }, { method, maxTokens, ...options }).all()
  model.free()
  const packed = await load(tiny, { limit, kv: 'i16' })
  await packed.generate({ ids }, { method, maxTokens, budget: 1024 }).all()
  packed.free()
})

test('a question about a reading: what a step chooses rows with is told too', async () => {
  const tokens = 2400, fresh = 8, answer = 4, budget = 64, policy = exactTopk(), ids = someIds(tokens)
  const model = await llama({ layers: 1, heads: 128, kvHeads: 128, headDim: 16, dim: 32, hidden: 32 }), { kernels } = model
  const reading = await createReading(model.network, { ids: ids.slice(0, -fresh), kv: 'i16', precision: 'fast' })
  const before = kernels.memory().used, needed = neededBytes(model, { policy, budget, tokens, answer, shared: tokens - fresh })
  const asked = await reading.ask(ids), sequence = await asked.answer({ policy, budget, answer })
  await draw(sequence, answer)
  const took = kernels.memory().used - before
  assert.ok(took <= needed, `told ${needed}, took ${took}`)
  model.free()
})

test('a limit below the weights is refused before they are read', async () => {
  let read = 0
  const error = await failure(load(tiny, { limit: 1e6, progress: bytes => { read = bytes } }))
  assert.is(error.code, 'memory')
  assert.match(error.message, /^memory must stay within 1\.0 MB, got 1\.\d MB of weights; of (Q\w+ they would have [01]\.\d MB, of )*Q4_0 they would have 0\.\d MB/)
  assert.is(read, 0)
})

test.run()
