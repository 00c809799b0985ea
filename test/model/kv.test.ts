import { readFileSync } from 'node:fs'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { makeDocument, makeQuestions } from '../../src/demo/corpus.ts'
import type { Policy } from '../../src/cache/policy.ts'
import type { RowType } from '../../src/kernels/index.ts'
import { load, type Model } from '../../src/load.ts'
import { methods, parseMethod } from '../../src/methods/index.ts'
import { createSequence, type Sequence } from '../../src/model/sequence.ts'
import { tiny, withSmollm } from '../models.ts'
import { divergence } from './divergence.ts'
import { draw, llama, policyOf, someIds, working as all } from './helpers.ts'

// Sequences whose cache is packed: every method, the same promises, and how far the answers are from i16's.

const packedTypes = ['q8', 'q4'] as const, answer = 12
/** Every method once. */
const working = all.filter(({ method }) => !method.includes(','))

/** Logits, rows and the tokens that follow, across the ends of two groups. */
async function seen(sequence: Sequence, n = 90): Promise<unknown> {
  const logits = [...await sequence.logits()], kept = await sequence.kept(), tokens = await draw(sequence, n)
  return { logits, kept, tokens, last: [...await sequence.logits()], kvBytes: (await sequence.ledger()).kvBytes }
}

for (const kv of packedTypes) {
  test(`${kv}: reading, question and answer are one pass, for every method`, async () => {
    const model = await llama({}, { kv }), ids = someIds(220)
    assert.is(model.kv, kv)
    const reading = await model.read({ ids: ids.slice(0, 100) }), asked = await reading.ask(ids)
    for (const row of working) {
      const options = { policy: policyOf(row), budget: row.budget, answer }
      const sequence = await asked.answer(options), alone = model.sequence(options)
      await alone.prefill(ids)
      assert.equal(await seen(sequence), await seen(alone), row.method)
      sequence.free()
      alone.free()
    }
    model.free()
  })

  test(`${kv}: a fork goes on as the original would, and neither disturbs the other`, async () => {
    const model = await llama({}, { kv }), ids = someIds(190)
    for (const row of working) {
      const [alone, forked] = await Promise.all([0, 1].map(async () => {
        const sequence = model.sequence({ policy: policyOf(row), budget: row.budget, answer })
        await sequence.prefill(ids)
        return sequence
      })) as [Sequence, Sequence]
      assert.equal(await draw(alone, 20), await draw(forked, 20))
      const fork = forked.fork(), expected = await draw(alone, 100)
      assert.equal(await draw(fork, 50), expected.slice(0, 50), row.method)
      assert.equal(await draw(forked, 100), expected, row.method)
      assert.equal(await draw(fork, 50), expected.slice(50), row.method)
      for (const sequence of [alone, forked, fork]) sequence.free()
    }
    model.free()
  })

  test(`${kv}: a second and a third prompt, under every method`, async () => {
    const model = await llama({}, { kv }), first = someIds(200)
    const used = model.kernels.memory().used
    for (const row of working) {
      const policy = policyOf(row), sequence = model.sequence({ policy, budget: row.budget, answer })
      await sequence.prefill(first)
      let total = first.length
      for (const [length, drawn] of [[70, 5], [1, 80]] as const) {
        await draw(sequence, drawn)
        await sequence.prefill(someIds(length, length))
        total += drawn + length
        const { tokensSeen, tokensHeld } = await sequence.ledger()
        assert.is(tokensSeen, total, row.method)
        if (policy.second === 'everything') assert.is(tokensHeld, total, row.method)
        for (const rows of (await sequence.kept()).flat()) {
          assert.equal(rows, [...new Set(rows)].sort((a, b) => a - b), 'ascending, each once')
          assert.ok(rows.at(-1)! < total)
        }
      }
      await draw(sequence, 10)
      sequence.free()
    }
    // Scratch may have grown; it is kept.
    assert.ok(model.kernels.memory().used - used < 2e6, `${model.kernels.memory().used - used} bytes are still taken`)
    model.free()
  })

  test(`${kv}: an aborted answer goes on as if nothing had happened`, async () => {
    const model = await llama({}, { kv }), ids = someIds(150)
    for (const method of ['full', 'rocketkv', 'sparq']) {
      const row = working.find(row => row.method === method)!, make = () => model.sequence({ policy: policyOf(row), budget: row.budget, answer })
      const whole = make(), broken = make()
      await whole.prefill(ids)
      await broken.prefill(ids)
      const tokens: number[] = []
      for (let i = 0; i < 80; i++) {
        const controller = new AbortController()
        controller.abort()
        if (i) await broken.next(controller.signal).then(() => assert.unreachable('it ran'), error => assert.is((error as Error).name, 'AbortError'))
        tokens.push(await broken.next())
      }
      assert.equal(tokens, await draw(whole, 80), method)
      whole.free()
      broken.free()
    }
    model.free()
  })
}

const document = (model: Model) => makeDocument({ tokens: 1500, seed: 3, facts: 40, count: text => model.tokenizer.encode(text).length })

test('the embedded model answers from a packed cache, in fewer bytes under every method', async () => {
  const bytes = new Map<string, Record<string, number>>()
  for (const kv of ['i16', ...packedTypes] as const) {
    const model = await load(tiny, { kv }), { text, ...rest } = document(model), reading = await model.read(text)
    const questions = makeQuestions({ text, ...rest }, 6, 1)
    for (const { question, answer } of questions.slice(0, kv === 'q4' ? 4 : 6)) {
      const story = reading.generate(question, { method: methods.full(), maxTokens: 24 })
      assert.is(await story.all(), answer, `${kv}: ${question}`)
    }
    for (const name of Object.keys(methods).filter(name => !parseMethod(name).store)) {
      // Beside packed rows page bounds weigh more: the planner would fall back to full attention where the method is to be seen.
      const policy: Policy = { ...parseMethod(name), dense: 'never' }, story = reading.generate(questions[0]!.question, { method: policy, budget: 256, maxTokens: 24 })
      await story.all()
      const { afterPrefill } = story.ledger!
      const { held, planned } = model.plan({ policy, tokens: story.promptTokens, answer: 24, budget: 256 })
      // Where heads share their rows the plan is a bound.
      assert.ok(planned.shared ? afterPrefill.kvBytes <= held : afterPrefill.kvBytes === held, `${name}, ${kv}: ${afterPrefill.kvBytes} bytes, planned ${held}`)
      bytes.set(name, { ...bytes.get(name), [kv]: afterPrefill.kvBytes })
    }
    reading.free()
    model.free()
  }
  for (const [name, { i16, q8, q4 }] of bytes) assert.ok(q4! < q8! && q8! < i16!, `${name}: ${q4} < ${q8} < ${i16}`)
})

/** Mean KL(i16‖kv) of the next token over the last `fed` tokens of a text, each fed on what the cache holds of those before. */
async function meanDivergence(model: Model, ids: readonly number[], fed: number, kv: RowType): Promise<number> {
  const [plain, packed] = (['i16', kv] as const).map(kv => createSequence(model.network, { policy: methods.full(), budget: 1, answer: fed, kv, precision: 'fast' })) as [Sequence, Sequence]
  let sum = 0
  for (const sequence of [plain, packed]) await sequence.prefill(ids.slice(0, -fed))
  assert.equal([...await packed.logits()], [...await plain.logits()], 'a prompt is read alike')
  for (const id of ids.slice(-fed, -1)) {
    await plain.feed(id)
    await packed.feed(id)
    sum += divergence(await plain.logits(), await packed.logits())
  }
  if (process.env['MEASURE']) console.log(`${model.name}, ${kv}: mean KL`, sum / (fed - 1))
  plain.free()
  packed.free()
  return sum / (fed - 1)
}

// Bounds: about three times what was measured.
const bounds = { tiny: { q8: 5e-3, q4: 0.5 }, smollm: { q8: 1e-4, q4: 0.03 } } as const

test('KL(i16‖q8) and KL(i16‖q4), embedded model', async () => {
  const model = await load(tiny), ids = model.encode({ document: document(model).text, prompt: makeQuestions(document(model), 1, 1)[0]!.question })
  for (const kv of packedTypes) {
    const kl = await meanDivergence(model, ids, 64, kv)
    assert.ok(kl > 0 && kl <= bounds.tiny[kv], `${kv}: ${kl}`)
  }
  model.free()
})

withSmollm(test, 'KL(i16‖q8) and KL(i16‖q4), 135M model', async path => {
  const model = await load(path)
  const { cases } = JSON.parse(readFileSync(new URL('../goldens/model/perplexity.json', import.meta.url), 'utf8')) as { cases: { text: string }[] }
  const ids = model.encode({ prompt: cases[1]!.text, raw: true }).slice(0, 200)
  for (const kv of packedTypes) {
    const kl = await meanDivergence(model, ids, 40, kv)
    assert.ok(kl > 0 && kl <= bounds.smollm[kv], `${kv}: ${kl}`)
  }
  model.free()
})

test.run()
