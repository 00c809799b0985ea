import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { makeDocument, makeQuestions } from '../../src/demo/corpus.ts'
import { load } from '../../src/load.ts'
import { methods, parseMethod } from '../../src/methods/index.ts'
import { tiny } from '../models.ts'

// Methods that pack what they keep, on the embedded model.

const answer = 24, budget = 256
const texts = ['kivi', 'kivi,bits=4', 'quantized-pruning', 'snapkv+kivi,bits=4', 'rocketkv+kivi,bits=4', 'rocketkv-mt+kivi,bits=8', 'exact-topk+kivi,bits=4', 'snapkv,budget=512+quest+kivi,bits=4']

test('compositions hold what they plan, and answer a second question', async () => {
  const model = await load(tiny)
  const document = makeDocument({ tokens: 3000, seed: 3, facts: 40, count: text => model.tokenizer.encode(text).length })
  const [first, second] = makeQuestions(document, 2, 1).map(({ question }) => question) as [string, string]
  const reading = await model.read(document.text), asked = await reading.ask(model.encode({ document: document.text, prompt: first }))
  const more = model.tokenizer.encode(`\n<|im_start|>user\n${second}<|im_end|>\n<|im_start|>assistant\n`)
  const full = model.plan({ policy: methods.full(), tokens: asked.ids.length, answer, budget })
  for (const text of texts) {
    const policy = parseMethod(text), sequence = await asked.answer({ policy, budget, answer })
    const draw = async (n: number): Promise<number[]> => {
      const ids: number[] = []
      while (ids.length < n) ids.push(await sequence.next())
      return ids
    }
    const [one, { afterPrefill }] = [await draw(8), await sequence.ledger()]
    const told = model.plan({ policy, tokens: asked.ids.length, answer, budget })
    assert.is(afterPrefill.kvBytes, told.held, text)
    assert.ok(told.held < full.held, `${text}: ${told.held} of ${full.held}`)
    assert.is((await sequence.ledger()).kvBytesFull, full.held, text)
    await sequence.prefill(more)
    const two = await draw(8)
    assert.ok([...one, ...two].every(id => id >= 0 && id < model.config.vocabulary), text)
    assert.ok((await sequence.logits()).every(Number.isFinite), text)
    sequence.free()
  }
  asked.free()
  reading.free()
  model.free()
})

test('answers in four bits are those of the full cache', async () => {
  const model = await load(tiny)
  const document = makeDocument({ tokens: 1500, seed: 3, facts: 40, count: text => model.tokenizer.encode(text).length }), reading = await model.read(document.text)
  for (const { question, answer } of makeQuestions(document, 4, 1)) {
    const story = reading.generate(question, { method: parseMethod('kivi,bits=4'), maxTokens: 24 })
    assert.is(await story.all(), answer, question)
    assert.ok(story.ledger!.kvBytes < story.ledger!.kvBytesFull / 2)
  }
  reading.free()
  model.free()
})

test('a prompt read at once and one read before are packed alike', async () => {
  const model = await load(tiny), ids = model.tokenizer.encode('A letter lay on the table in the hall, and nobody had opened it. '.repeat(40))
  const reading = await model.read('A letter lay on the table in the hall, and nobody had opened it. '.repeat(30))
  for (const text of ['kivi', 'snapkv+kivi,bits=4']) {
    const options = { policy: parseMethod(text), budget: 128, answer: 80 }
    const whole = model.sequence(options), asked = await reading.ask(ids), later = await asked.answer(options)
    await whole.prefill(ids)
    assert.equal((await later.ledger()).kvBytes, (await whole.ledger()).kvBytes)
    for (let i = 0; i < 70; i++) assert.is(await later.next(), await whole.next(), `${text}, token ${i}`)
    whole.free()
    later.free()
    asked.free()
  }
  reading.free()
  model.free()
})

test('exact precision refuses a store', async () => {
  const model = await load(tiny, { precision: 'exact' })
  assert.throws(() => model.sequence({ policy: parseMethod('snapkv+kivi'), budget: 64, answer: 4 }), 'snapkv+kivi: precision must be fast where rows are packed, got exact')
  model.free()
})

test.run()
