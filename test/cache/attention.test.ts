import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { createAttention, type Attention, type AttentionOptions } from '../../src/cache/attention.ts'
import { hsa } from '../../src/methods/hsa.ts'
import { rocketkv } from '../../src/methods/rocketkv.ts'
import { snapkv } from '../../src/methods/snapkv.ts'
import { decode, on, part, prompt, tokensOf } from '../methods/bare.ts'

const sizes = { heads: 4, kvHeads: 2, headDim: 8 }
const given = tokensOf(200, sizes, 91)
const key = 16, query = 32
const make = async (options: Partial<AttentionOptions> = {}): Promise<Attention> =>
  createAttention({ kernels: await on('wasm'), ...sizes, policy: rocketkv({ window: 4, dense: 'never' }), budget: 16, ...options })

/** What a call must be refused with. */
async function refused(body: () => unknown, kind: typeof RangeError | typeof TypeError, message: string): Promise<void> {
  try {
    await body()
  } catch (error) {
    assert.is((error as Error).message, message)
    assert.instance(error, kind)
    return
  }
  assert.unreachable(`it was taken, instead of: ${message}`)
}

test('sizes that cannot be are refused', async () => {
  for (const [options, message] of [
    [{ heads: 0 }, 'attention: heads must be a positive whole number, got 0'],
    [{ headDim: 2.5 }, 'attention: headDim must be a positive whole number, got 2.5'],
    [{ heads: 5 }, 'attention: heads must be a multiple of kvHeads 2, got 5'],
    [{ budget: 0 }, 'budget must be a whole number of tokens from 1 on, got 0'],
  ] as const) await refused(async () => (await make(options)).plan(10, 1), RangeError, message)
})

test('calls out of order are refused, each in a sentence', async () => {
  const a = await make()
  const rows = (n: number): Float32Array => new Float32Array(n * key)
  const { keys, values, queries } = part(given, 0, 1)
  await refused(() => a.kept(), TypeError, 'attention: plan must come first, got no plan')
  await refused(() => a.append(keys, values), TypeError, 'attention: plan must come first, got no plan')
  await refused(() => a.compress(), TypeError, 'attention: a prompt must be planned first, got none')
  await refused(() => a.observe(queries), RangeError, 'attention: queries must be of rows appended before, got 1 for 0')
  await refused(() => a.plan(0, 2), RangeError, 'attention: tokens must be a whole number from 1 on, got 0')
  await refused(() => a.plan(10, 2.5), RangeError, 'attention: answer must be a whole number from 0 on, got 2.5')
  a.plan(10, 2)
  await refused(() => a.plan(10, 2), TypeError, 'attention: the last prompt or token must be finished first, got one that is not')
  await refused(() => a.append(rows(11), rows(11)), RangeError, 'attention: the prompt must have the planned 10 rows, got 11')
  await refused(() => a.append(rows(4), rows(5)), RangeError, `attention: values must be as long as keys, ${4 * key}, got ${5 * key}`)
  await refused(() => a.append(new Float32Array(key + 1), rows(1)), RangeError, 'attention: keys must be [n,2,8], got 17 numbers')
  await a.append(rows(4), rows(4))
  await refused(() => a.observe(new Float32Array(5 * query)), RangeError, 'attention: queries must be of rows appended before, got 5 for 4')
  await refused(() => a.compress(), RangeError, 'attention: the prompt must have the planned 10 rows, got 4')
  await a.append(rows(6), rows(6))
  await refused(() => a.select(queries), TypeError, 'attention: a token must be appended first, got none')
  await a.compress()
  await refused(() => a.attend(queries), TypeError, 'attention: a token must be appended first, got none')
  await refused(() => a.append(rows(2), rows(2)), RangeError, 'attention: one token is appended at a time after compress, got 2')
  await a.append(keys, values)
  await refused(() => a.append(keys, values), TypeError, 'attention: the last token must be attended first, got one that was not')
  await refused(() => a.select(new Float32Array(2 * query)), RangeError, 'attention: query must be [4,8], got 64 numbers')
  await a.select(queries)
  await refused(() => a.attend(queries.map(x => x + 1)), RangeError, 'attention: attend must get the query that select got, got another')
  assert.is((await a.attend(queries)).length, query)
  a.free()
})

test('a prompt in pieces is a prompt; queries of the window are enough', async () => {
  const whole = await make(), pieces = await make()
  const kept = await prompt(whole, part(given, 0, 180))
  pieces.plan(180, 16)
  for (const [from, to] of [[0, 1], [1, 64], [64, 65], [65, 177], [177, 180]] as const) {
    const t = part(given, from, to)
    await pieces.append(t.keys, t.values)
    if (to > 176) await pieces.observe(t.queries.subarray(t.queries.length - Math.min(to - from, 4) * query))
  }
  assert.equal(await pieces.compress(), kept)
  assert.equal((await decode(pieces, part(given, 180))).outs, (await decode(whole, part(given, 180))).outs)
  whole.free()
  pieces.free()
})

test('attend alone does what select and attend do', async () => {
  const a = await make({ policy: hsa({ dense: 'never' }) }), b = await make({ policy: hsa({ dense: 'never' }) })
  for (const one of [a, b]) await prompt(one, part(given, 0, 180))
  const { outs } = await decode(a, part(given, 180))
  for (let at = 180; at < 200; at++) {
    const { keys, values, queries } = part(given, at, at + 1)
    await b.append(keys, values)
    assert.equal(await b.attend(queries), outs[at - 180])
  }
  a.free()
  b.free()
})

test('a further turn is cut back to the plan of the first, with the bytes of all turns beside', async () => {
  const a = await make({ policy: snapkv({ window: 4, dense: 'never' }), budget: 20 })
  await prompt(a, part(given, 0, 100), 8)
  await decode(a, part(given, 100, 108))
  const kept = await prompt(a, part(given, 108, 150), 8)
  for (const rows of kept) {
    assert.is(rows.length, 20)
    assert.equal(rows.slice(-4), [146, 147, 148, 149])
  }
  const { tokensSeen, tokensHeld, kvBytesFull } = await a.ledger()
  assert.equal([tokensSeen, tokensHeld], [150, 20])
  const rowBytes = 2 * 4 * 16 + 4
  assert.is(kvBytesFull, 2 * 192 * rowBytes, '150 rows and 8 to come, in whole tiles')
  a.free()
})

test('each turn has its own expected answer', async () => {
  const a = await make({ policy: hsa({ dense: 'never' }) })
  await prompt(a, part(given, 0, 64), 64)
  assert.is((await a.ledger()).kvBytesFull, 2 * 128 * 132)
  await prompt(a, part(given, 64, 66), 200)
  assert.is((await a.ledger()).kvBytesFull, 2 * 320 * 132)
  a.free()
})

test('freed once, freed for good', async () => {
  const k = await on('wasm')
  const before = k.memory().used
  const a = await make()
  await prompt(a, part(given, 0, 100))
  a.free()
  a.free()
  assert.is(k.memory().used, before)
})

test.run()
