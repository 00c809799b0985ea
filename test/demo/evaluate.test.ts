import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { markdown } from '../../src/cli/eval.ts'
import { evaluate, type Evaluated } from '../../src/demo/evaluate.ts'
import { load } from '../../src/load.ts'
import { methods, parseMethod } from '../../src/methods/index.ts'
import { tiny } from '../models.ts'

const texts = ['full', 'exact-topk', 'streaming', 'snapkv,kernel=63', 'snapkv,kernel=63+kivi,bits=4', 'kivi', 'kivi,bits=8']

test('a document, several methods, two budgets', async () => {
  const model = await load(tiny), tokens = 2048, questions = 3, budgets = [64, 4096]
  const options = { model, full: methods.full(), methods: texts.map(text => ({ text, policy: parseMethod(text) })), budgets, tokens, questions, seed: 8 }
  const done: string[] = []
  const rows = await evaluate({ ...options, progress: (phase, at, of) => { if (at === of) done.push(`${phase} ${of}`) } })
  assert.equal(rows.map(({ method, budget }) => [method, budget]), texts.flatMap(text => (parseMethod(text).budget === 'none' ? [null] : budgets).map(budget => [text, budget])))
  assert.ok(done.includes(`asking ${rows.length * questions}`), done.join())
  const row = (method: string, budget: number | null): Evaluated => rows.find(row => row.method === method && row.budget === budget)!
  const full = row('full', null)
  assert.is(full.divergence, 0, 'the full cache is itself')
  assert.is(full.kvBytes, full.kvBytesFull)
  assert.ok(full.perplexity >= 1)
  for (const { method, divergence, kvBytes, kvBytesFull, right, perplexity, dense } of rows) {
    // Rounding may take a sum of zeros below zero.
    assert.ok(divergence > -1e-9 && perplexity >= 1 && Number.isFinite(perplexity), `${method}: ${divergence}, ${perplexity}`)
    assert.ok(right >= 0 && right <= questions)
    assert.ok(kvBytes <= kvBytesFull || dense || method === 'full', `${method}: ${kvBytes}`)
  }
  for (const method of ['exact-topk', 'streaming', 'snapkv,kernel=63']) {
    const at = row(method, 4096)
    assert.ok(at.dense, `${method} fits its budget`)
    assert.equal([at.divergence, at.perplexity, at.right, at.rightSecond], [0, full.perplexity, full.right, full.rightSecond], `${method} is the full cache there`)
  }
  assert.is(full.right, questions)
  assert.ok(row('streaming', 64).divergence > 100 * row('kivi,bits=8', null).divergence, 'what forgets the middle differs more than what rounds')
  assert.ok(row('kivi', null).divergence > row('kivi,bits=8', null).divergence)
  assert.ok(row('snapkv,kernel=63+kivi,bits=4', 4096).kvBytes < row('snapkv,kernel=63', 4096).kvBytes)
  assert.equal(await evaluate(options), rows, 'the same every time')
  model.free()
})

test('the table counts documents together', () => {
  const one: Evaluated = { method: 'snapkv', budget: 64, tokens: 1000, seed: 1, questions: 4, right: 3, rightSecond: 1, divergence: 0.5, perplexity: 2, kvBytes: 1000, kvBytesFull: 10_000, rowsReadPerStep: 70.2, dense: false }
  const text = markdown([one, { ...one, seed: 2, right: 1, divergence: 1.5, perplexity: 8, kvBytes: 3000 }, { ...one, method: 'full', budget: null, kvBytes: 10_000 }])
  assert.is(text, [
    '| method | budget | right | second | KL to full | perplexity | cache | of full | rows/step |', '|---|---|---|---|---|---|---|---|---|',
    '| `snapkv` | 64 | 4/8 | 2/8 | 1.00 | 4.000 | 2.0 kB | 20.0 % | 70 |', '| `full` | – | 3/4 | 1/4 | 0.500 | 2.000 | 10.0 kB | 100.0 % | 70 |'].join('\n'))
})

test.run()
