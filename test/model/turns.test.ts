import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { Sequence } from '../../src/model/sequence.ts'
import { draw, llama, policyOf, someIds, working } from './helpers.ts'

// Conversations: what a second prompt finds, under each method.

const answer = 12, first = someIds(200), drawn = 5

/** Logits, rows and tokens of a sequence that has just read a prompt. */
async function seen(sequence: Sequence): Promise<unknown> {
  return { kept: await sequence.kept(), logits: [...await sequence.logits()], tokens: await draw(sequence, drawn), last: [...await sequence.logits()] }
}

for (const row of working) {
  const policy = policyOf(row), options = { policy, budget: row.budget, answer }
  for (const length of [1, 10, 70])
    test(`${row.method}: a second prompt of ${length} tokens`, async () => {
      const model = await llama(), second = someIds(length, 2)
      const sequence = model.sequence(options)
      await sequence.prefill(first)
      const before = await sequence.kept(), { kept } = sequence.plan()
      const tokens = await draw(sequence, drawn)
      await sequence.prefill(second)
      const total = first.length + drawn + length, after = await sequence.kept(), ledger = await sequence.ledger()
      assert.is(ledger.tokensSeen, total)
      const newest = policy.score ? Math.min(policy.score.window, policy.history ? length + 1 : total) : 1
      for (const [layer, heads] of after.entries())
        for (const [head, rows] of heads.entries()) {
          const held = new Set(before[layer]![head])
          assert.equal(rows, [...new Set(rows)].sort((a, b) => a - b), 'ascending, each once')
          assert.ok(rows.every(p => p < total && (policy.second === 'everything' || p >= first.length || held.has(p))), 'only rows that were there')
          // kvpress's chunks may leave out the newest rows.
          if (!row.method.startsWith('chunkkv,variant')) for (let p = total - newest; p < total; p++) assert.ok(rows.includes(p), `newest row ${p}`)
          if (!policy.evicts) assert.is(rows.length, total)
          else assert.ok(rows.length <= (policy.history ? sequence.plan().kept : kept), `at most the plan's rows, got ${rows.length}`)
        }
      if (policy.evicts && !policy.history) assert.is(sequence.plan().kept, kept)
      if (policy.second === 'everything') assert.is(ledger.tokensHeld, total)
      assert.is(tokens.length, drawn)
      assert.is((await draw(sequence, 20)).length, 20)
      model.free()
    })

  test(`${row.method}: a second prompt after a reading is one after a prompt`, async () => {
    const model = await llama(), all: unknown[] = []
    const reading = await model.read({ ids: first.slice(0, 150) }), asked = await reading.ask(first)
    for (const make of [async () => { const s = model.sequence(options); await s.prefill(first); return s }, () => asked.answer(options)]) {
      const sequence = await make()
      await draw(sequence, drawn)
      await sequence.prefill(someIds(40, 3))
      all.push(await seen(sequence))
      sequence.free()
    }
    assert.equal(all[0], all[1])
    model.free()
  })
}

test('what keeps everything reads a second prompt as full does', async () => {
  const model = await llama(), second = someIds(40, 2)
  const logits = async (row: typeof working[number]): Promise<number[]> => {
    const sequence = model.sequence({ policy: policyOf(row), budget: row.budget, answer })
    await sequence.prefill(first)
    await sequence.prefill(second)
    return [...await sequence.logits()]
  }
  const expected = await logits(working[0]!)
  const kept = working.filter(row => policyOf(row).second === 'everything')
  assert.ok(kept.some(row => row.method === 'rocketkv-mt'))
  for (const row of working) {
    const same = (await logits(row)).every((x, i) => x === expected[i])
    assert.is(same, kept.includes(row), row.method)
  }
  model.free()
})

test.run()
