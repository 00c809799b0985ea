import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { load } from '../../src/load.ts'
import { full } from '../../src/methods/full.ts'
import { tiny } from '../models.ts'
import { llama, policyOf, run, someIds, working } from './helpers.ts'

const prompt = 'The keeper of the old mill is Tolin. The grey station opened in 1874.\n\nWho is the keeper of the old mill?'

/** Waits for a rejection by an AbortSignal. */
async function aborted(promise: Promise<unknown>, what: string): Promise<void> {
  const error = await promise.then(() => null, (error: Error) => error)
  assert.is(error?.name, 'AbortError', what)
}

test('an answer that is broken off ends within one token, and the model goes on', async () => {
  const model = await load(tiny), whole = await model.generate({ prompt }).all(), used = model.kernels.memory().used
  const controller = new AbortController()
  const story = model.generate({ prompt }, { signal: controller.signal, method: full() })
  let texts = 0
  for await (const _ of story) {
    texts++
    controller.abort()
  }
  assert.is(texts, 1)
  assert.is(story.stopReason, 'abort')
  assert.is(story.tokens.length, 1)
  assert.ok(story.ledger)
  assert.is(model.kernels.memory().used, used)
  assert.is(await model.generate({ prompt }).all(), whole)
  model.free()
})

for (const row of working.slice(0, 5))
  test(`${row.method}: a prompt that is broken off leaves nothing behind`, async () => {
    const model = await llama(), ids = someIds(1000)
    // The kernels keep the room for numbers in between that a whole run wanted.
    await run(model, { ids, n: 2, policy: policyOf(row), budget: row.budget, answer: 4 })
    const used = model.kernels.memory().used
    for (const tiles of [0, 1, 5]) {
      const controller = new AbortController()
      let calls = 0
      const progress = (): void => { if (++calls === tiles) controller.abort() }
      if (!tiles) controller.abort()
      const sequence = model.sequence({ policy: policyOf(row), budget: row.budget, answer: 4 })
      await aborted(sequence.prefill(ids, { signal: controller.signal, progress }), `after ${tiles} tiles`)
      assert.is(calls, tiles, 'nothing runs on')
      await sequence.prefill(ids).then(() => assert.unreachable('half a prompt was read on'), error => assert.match(error.message, 'must be whole'))
      sequence.free()
      assert.is(model.kernels.memory().used, used, 'memory')
    }
    model.free()
  })

test('a reading and a question that are broken off leave nothing behind', async () => {
  const model = await llama(), ids = someIds(1000)
  const broken = (): { signal: AbortSignal; progress: () => void } => {
    const controller = new AbortController()
    return { signal: controller.signal, progress: () => controller.abort() }
  }
  await run(model, { ids, n: 1 })
  const before = model.kernels.memory().used
  await aborted(model.read({ ids }, broken()), 'reading')
  assert.is(model.kernels.memory().used, before)
  const reading = await model.read({ ids: ids.slice(0, 500) }), used = model.kernels.memory().used
  await aborted(reading.ask(ids, broken()), 'asking')
  assert.is(model.kernels.memory().used, used)
  const asked = await reading.ask(ids), sequence = await asked.answer({ policy: full(), budget: 1, answer: 4 })
  assert.type(await sequence.next(), 'number')
  sequence.free()
  asked.free()
  reading.free()
  assert.is(model.kernels.memory().used, before)
  model.free()
})

test('loading that is broken off stops', async () => {
  const controller = new AbortController()
  await aborted(load(tiny, { signal: controller.signal, progress: () => controller.abort() }), 'loading')
})

test.run()
