import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { load } from '../../src/load.ts'
import { methods } from '../../src/methods/index.ts'
import type { Policy } from '../../src/cache/policy.ts'
import type { Sequence } from '../../src/model/sequence.ts'
import { makeDocument, makeQuestions, type Fact } from '../../src/demo/corpus.ts'
import { tiny } from '../models.ts'

const model = await load(tiny)
const document = makeDocument({ tokens: 1500, seed: 3, facts: 40, count: text => model.tokenizer.encode(text).length })
const [one, two] = makeQuestions(document, 2, 1) as unknown as [Fact, Fact]

async function draw(sequence: Sequence, n: number): Promise<number[]> {
  const ids: number[] = []
  while (ids.length < n) ids.push(await sequence.next())
  return ids
}

for (const [name, make] of Object.entries(methods))
  test(`${name}: a fork goes on as the original would, and neither disturbs the other`, async () => {
    const start = async (): Promise<Sequence> => {
      const sequence = model.sequence({ policy: (make as () => Policy)(), budget: 128, answer: 16, sampling: { temperature: 0.8, topK: 20, topP: 1, minP: 0, repeatPenalty: 1.1, seed: 7 } })
      await sequence.prefill(model.encode({ document: document.text, prompt: one.question }))
      return sequence
    }
    const alone = await start(), forked = await start()
    const before = [await draw(alone, 3), await draw(forked, 3)]
    const fork = forked.fork()
    const expected = await draw(alone, 100)
    // A hundred steps outgrow the room that was made for sixteen.
    assert.equal(await draw(fork, 50), expected.slice(0, 50))
    assert.equal(await draw(forked, 100), expected)
    assert.equal(await draw(fork, 50), expected.slice(50))
    assert.equal(before[0], before[1])
    for (const sequence of [alone, forked, fork]) sequence.free()
  })

test('a reading answers question after question, as one pass would', async () => {
  const reading = await model.read(document.text)
  for (const fact of [one, two]) {
    const story = reading.generate(fact.question, { method: methods.full(), maxTokens: 24 })
    assert.is(await story.all(), fact.answer)
    assert.is(story.stopReason, 'eos')
    const whole = model.generate({ document: document.text, prompt: fact.question }, { method: methods.full(), maxTokens: 24 })
    await whole.all()
    assert.equal(story.tokens, whole.tokens)
  }
  reading.free()
})

test('what was taken is given back', async () => {
  const used = model.kernels.memory().used
  const reading = await model.read(document.text)
  for (const make of Object.values(methods)) await reading.generate(one.question, { method: (make as () => Policy)(), budget: 128, maxTokens: 8 }).all()
  reading.free()
  // Scratch may have grown; it is kept.
  assert.ok(model.kernels.memory().used - used < 2e6, `${model.kernels.memory().used - used} bytes are still taken`)
})

test('freed twice is freed once; used after it is refused', async () => {
  const first = model.sequence({ policy: methods.full(), budget: 64, answer: 4 })
  first.free()
  const other = model.sequence({ policy: methods.full(), budget: 64, answer: 4 })
  const { used } = model.kernels.memory()
  first.free()
  assert.is(model.kernels.memory().used, used)
  other.free()
  try {
    await first.prefill([1, 2, 3])
    assert.unreachable()
  } catch (error) {
    assert.match((error as Error).message, /sequence: it must not be used after free/)
  }
  const gone = await load(tiny)
  gone.free()
  gone.free()
  try {
    await gone.generate('Hello', { maxTokens: 1 }).all()
    assert.unreachable()
  } catch (error) {
    assert.match((error as Error).message, /closed with their model/)
  }
})

test.run()
