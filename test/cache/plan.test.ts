import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { expectedAnswer, footprint, heldBytes, planFor } from '../../src/cache/plan.ts'
import type { Shape } from '../../src/cache/policy.ts'
import type { RowType } from '../../src/kernels/index.ts'
import { methods, parseMethod } from '../../src/methods/index.ts'
import { on, part, tokensOf } from '../methods/bare.ts'
import { createStack } from '../methods/stack.ts'

const sizes = { heads: 6, kvHeads: 2, headDim: 16 }
const layers = 2
const shape: Shape = { ...sizes, layers, scale: 0.25 }
const plan = (method: string, tokens: number, answer: number, budget: number) =>
  planFor({ policy: parseMethod(method), shape, kv: 'f32', tokens, answer, budget })

test('a method falls back to full attention for a reason that it gives', () => {
  for (const [method, tokens, answer, budget, reason] of [
    ['full', 1000, 16, 64, 'it keeps and reads everything'],
    ['snapkv', 48, 16, 64, 'prompt and answer (48 + 16 tokens) fit the budget of 64'],
    ['rocketkv', 48, 16, 64, 'prompt and answer (48 + 16 tokens) fit the budget of 64'],
    ['snapkv', 49, 16, 64, 'it would read every one of 49 + 16 rows'],
    ['hsa', 300, 16, 315, ''],
    ['hsa', 300, 16, 316, 'prompt and answer (300 + 16 tokens) fit the budget of 316'],
    ['exact-topk', 300, 16, 315, ''],
    ['snapkv', 300, 16, 64, ''],
    ['rocketkv', 300, 16, 64, ''],
    ['streaming', 150, 16, 130, `it would hold ${heldBytes(shape, 'f32', 130 + 64, 0)} bytes, more than the full cache's ${heldBytes(shape, 'f32', 166, 0)}`],
    ['rocketkv', 200, 16, 200, `it would hold ${heldBytes(shape, 'f32', 216, 1)} bytes, more than the full cache's ${heldBytes(shape, 'f32', 216, 0)}`],
  ] as const) {
    const got = plan(method, tokens, answer, budget)
    assert.is(got.reason, reason, `${method}, ${tokens} + ${answer}, budget ${budget}`)
    assert.is(got.dense, reason !== '')
    if (got.dense) assert.equal([got.kept, got.read, got.pageSize, got.channels], [tokens, tokens + answer, 0, 0])
    assert.equal([got.tokens, got.answer, got.budget], [tokens, answer, budget])
  }
})

test('dense=never never falls back', () => {
  for (const name of Object.keys(methods).filter(name => parseMethod(name).budget !== 'none'))
    for (const [tokens, budget] of [[20, 64], [49, 64], [130, 128], [1000, 64]] as const) {
      const got = plan(`${name},dense=never`, tokens, 16, budget)
      assert.not(got.dense, `${name}, ${tokens} tokens, budget ${budget}`)
      assert.is(got.reason, '')
    }
})

test('a budget must hold the window that always stays', () => {
  for (const method of ['snapkv', 'chunkkv']) {
    assert.throws(() => plan(method, 300, 16, 31), (error: Error & { code?: string }) =>
      error.code === 'usage' && error.message === `${method}: budget must be at least the window of 32 tokens, got 31`)
    assert.is(plan(method, 300, 16, 32).kept, 32)
    assert.is(plan(`${method},window=8`, 300, 16, 8).kept, 8)
  }
  assert.throws(() => plan('rocketkv', 300, 16, 15), /budget must be a whole number of tokens from 16 on, got 15/)
})

test('a budget is a whole number from 1 on', () => {
  for (const budget of [0, -1, 2.5, NaN, Infinity])
    for (const method of ['full', 'snapkv', 'rocketkv'])
      assert.throws(() => plan(method, 100, 10, budget), (error: Error & { code?: string }) =>
        error.code === 'usage' && error.message === `budget must be a whole number of tokens from 1 on, got ${budget}`)
  assert.throws(() => plan('rocketkv', 100, 10, 15), (error: Error & { code?: string }) => error.code === 'usage')
})

test('an answer is planned up to 256 tokens', () =>
  assert.equal([0, 1, 256, 257, 100_000].map(expectedAnswer), [0, 1, 256, 256, 256]))

const variants = ['quest,variant=rocketkv', 'sparq,variant=rocketkv', 'rocketkv,recent=8', 'snapkv,variant=kvpress,window=16', 'chunkkv,variant=kvpress,window=16']
for (const name of [...Object.keys(methods), ...variants])
  for (const kv of ['f32', 'i16', 'q8', 'q4', 'q2'] as RowType[])
    test(`${name}, ${kv}: what a run holds is what was told before`, async () => {
      const k = await on('wasm')
      for (const dense of ['auto', 'never'])
        for (const [tokens, answer, budget] of [[20, 8, 64], [60, 70, 64], [65, 70, 64], [130, 16, 128], [260, 80, 64], [300, 8, 100]] as const) {
          const policy = { ...parseMethod(name), dense: dense as 'auto' | 'never' }
          const told = footprint({ policy, shape, kv, tokens, answer, budget })
          const given = Array.from({ length: layers }, (_, i) => tokensOf(tokens + answer, sizes, 71 + i))
          const stack = createStack(k, sizes, { layers, policy, budget, answer, kv })
          await stack.prompt(given.map(t => part(t, 0, tokens)))
          for (let at = tokens; at < tokens + answer; at++) await stack.step(given.map(t => part(t, at, at + 1)))
          const got = await stack.cache.ledger()
          stack.free()
          const what = `${tokens} + ${answer} tokens, budget ${budget}, dense ${dense}`
          // kvpress keeps whole chunks, of which the short last one may be one; KV heads that share rows may fill a tile more each.
          const bound = name.startsWith('chunkkv,variant=kvpress') || told.planned.shared === true
          const agree = (ledger: number, footprint: number, of: string): void => bound
            ? assert.ok(ledger <= footprint, `${what}: ${of} ${ledger} > ${footprint}`) : assert.is(ledger, footprint, `${what}: ${of}`)
          agree(got.afterPrefill.kvBytes, told.held, 'held')
          agree(got.kvBytesPeak, told.peak, 'at most')
          assert.is(got.kvBytesFull, told.full, what)
          assert.is(got.dense, told.planned.fellBack, what)
          assert.ok(got.memoryBytesPeak >= got.kvBytesPeak)
        }
    })

test.run()
