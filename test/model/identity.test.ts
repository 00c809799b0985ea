import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { LoadOptions, Model } from '../../src/load.ts'
import { full } from '../../src/methods/full.ts'
import { createSequence, type Sequence } from '../../src/model/sequence.ts'
import type { Network } from '../../src/model/llama.ts'
import { greedy } from '../../src/model/sample.ts'
import { draw, llama, policyOf, someIds, working } from './helpers.ts'

// Promises of the same bits: an answer depends on tokens and policy alone, not on how the tokens came in or on what else ran.

const kinds: LoadOptions[] = [{ precision: 'fast', kv: 'i16' }, { precision: 'fast', kv: 'f32' }, { precision: 'exact', kv: 'f32' }]
const answer = 12

/** All that can be seen of a sequence: logits, rows held, the tokens that follow and the logits after them. */
async function seen(sequence: Sequence, n = answer): Promise<unknown> {
  const logits = [...await sequence.logits()], kept = await sequence.kept(), tokens = await draw(sequence, n)
  return { logits, kept, tokens, last: [...await sequence.logits()] }
}

async function alone(model: Model, ids: readonly number[], row: typeof working[number]): Promise<unknown> {
  const sequence = model.sequence({ policy: policyOf(row), budget: row.budget, answer })
  await sequence.prefill(ids)
  const all = await seen(sequence)
  sequence.free()
  return all
}

for (const options of kinds)
  for (const shape of [{}, { headDim: 80, heads: 2, kvHeads: 1 }, { headDim: 128, heads: 2, kvHeads: 2, type: 'F16' as const }])
    test(`${options.precision}, ${options.kv}, ${JSON.stringify(shape)}: a prompt at once, in parts and token by token`, async () => {
      const model = await llama(shape, options), ids = someIds(300)
      const parts = [[300], [1, 299], [130, 127, 43]], all: unknown[] = []
      for (const lengths of parts) {
        const sequence = model.sequence({ policy: full(), budget: 1, answer })
        for (let at = 0, i = 0; i < lengths.length; at += lengths[i]!, i++) await sequence.prefill(ids.slice(at, at + lengths[i]!))
        all.push(await seen(sequence))
        sequence.free()
      }
      const fed = model.sequence({ policy: full(), budget: 1, answer })
      await fed.prefill(ids.slice(0, 1))
      for (const id of ids.slice(1)) await fed.feed(id)
      all.push(await seen(fed))
      for (const other of all.slice(1)) assert.equal(other, all[0])
      fed.free()
      model.free()
    })

for (const options of kinds.slice(0, 2))
  test(`${options.kv}: reading, question and answer are one pass, for every method`, async () => {
    const model = await llama({}, options), ids = someIds(220)
    for (const known of [1, 64, 100, 219, 220]) {
      // Where the prompts part, the reading has other tokens.
      const reading = await model.read({ ids: [...ids.slice(0, known)] })
      const asked = await reading.ask(ids)
      assert.is(asked.shared, Math.min(known, 219))
      for (const row of working) {
        const sequence = await asked.answer({ policy: policyOf(row), budget: row.budget, answer })
        assert.equal(await seen(sequence), await alone(model, ids, row), `${row.method}, ${known} tokens read before`)
        sequence.free()
      }
      asked.free()
      reading.free()
    }
    model.free()
  })

test('a prompt that leaves its reading early is read from there on', async () => {
  const model = await llama(), ids = someIds(220), reading = await model.read({ ids: [...ids.slice(0, 150), ...someIds(50, 2)] })
  const asked = await reading.ask(ids)
  assert.is(asked.shared, 150)
  for (const row of working.slice(0, 5)) {
    const sequence = await asked.answer({ policy: policyOf(row), budget: row.budget, answer })
    assert.equal(await seen(sequence), await alone(model, ids, row), row.method)
    sequence.free()
  }
  model.free()
})

test('a window longer than a reading remembers is refused', async () => {
  const model = await llama(), ids = someIds(400)
  const reading = await model.read({ ids }), asked = await reading.ask(ids)
  const policy = policyOf({ method: 'snapkv,window=200' })
  try {
    await asked.answer({ policy, budget: 300, answer })
    assert.unreachable('answered')
  } catch (error) {
    assert.match((error as Error).message, 'window must be at most')
  }
  model.free()
})

test('sequences at once, in turns and alone', async () => {
  const model = await llama()
  const rows = working.filter((_, i) => i % 3 === 0), prompts = rows.map((_, i) => someIds(200 + 30 * i, i + 1))
  const expected: unknown[] = []
  for (const [i, row] of rows.entries()) expected.push(await alone(model, prompts[i]!, row))
  const sequences = rows.map(row => model.sequence({ policy: policyOf(row), budget: row.budget, answer }))
  await Promise.all(sequences.map((sequence, i) => sequence.prefill(prompts[i]!)))
  const starts = await Promise.all(sequences.map(async s => ({ logits: [...await s.logits()], kept: await s.kept() })))
  const tokens: number[][] = rows.map(() => [])
  for (let step = 0; step < answer; step++)
    await Promise.all(sequences.map(async (sequence, i) => { tokens[i]!.push(await sequence.next()) }))
  for (const [i, sequence] of sequences.entries())
    assert.equal({ ...starts[i], tokens: tokens[i], last: [...await sequence.logits()] }, expected[i], rows[i]!.method)
  model.free()
})

test('a growing memory changes nothing', async () => {
  for (const row of working.slice(0, 3)) {
    const model = await llama(), k = model.kernels, ids = someIds(200)
    const expected = await alone(model, ids, row)
    const grow = (): void => {
      const before = k.memory().bytes
      while (k.memory().bytes === before) k.tensor([1 << 20], 'u8')
    }
    const sequence = model.sequence({ policy: policyOf(row), budget: row.budget, answer })
    await sequence.prefill(ids, { progress: grow })
    const start = { logits: [...await sequence.logits()], kept: await sequence.kept() }
    const tokens: number[] = []
    while (tokens.length < answer) {
      grow()
      tokens.push(await sequence.next())
    }
    assert.equal({ ...start, tokens, last: [...await sequence.logits()] }, expected, row.method)
    model.free()
  }
})

test('an answer longer than its room moves and stays the same', async () => {
  const model = await llama(), ids = someIds(190), n = 150
  // Methods whose plan is the same whatever answer is expected.
  for (const row of working.filter(({ method }) => /^(full|snapkv|chunkkv|streaming|quest|exact-topk)$/.test(method))) {
    const both: unknown[] = []
    for (const expected of [1, n]) {
      const sequence = model.sequence({ policy: policyOf(row), budget: row.budget, answer: expected })
      await sequence.prefill(ids)
      both.push(await seen(sequence, n))
      sequence.free()
    }
    assert.equal(both[0], both[1], row.method)
  }
  model.free()
})

/** The network over kernels that break a run off after its first `operations` operations, once `arm` was called. */
function breaking(network: Network): { network: Network; arm(operations: number): void; lengths: () => number } {
  const { k } = network
  let left: number | null = null, last = 0
  const run: typeof k.run = async (program, registers, signal) => {
    last = program.operations
    if (left === null) return k.run(program, registers, signal)
    const words = await k.read(program.words, 0, program.length)
    let length = 0
    for (let i = 0; i < left; i++) length += words[length + 1]!
    left = null
    await k.run({ ...program, length }, registers)
    throw new DOMException('broken off', 'AbortError')
  }
  return { network: { ...network, k: { ...k, run } }, arm: operations => { left = operations }, lengths: () => last }
}

for (const method of ['full', 'rocketkv', 'rocketkv-mt', 'streaming', 'sparq', 'quest'])
  test(`${method}: a step that was broken off anywhere is taken again`, async () => {
    const model = await llama(), ids = someIds(150), row = working.find(w => w.method === method)!
    const expected = await alone(model, ids, row)
    const { network, arm, lengths } = breaking(model.network)
    const options = { policy: policyOf(row), budget: row.budget, answer, kv: model.kv, precision: model.precision, sampling: greedy }
    const probe = createSequence(network, options)
    await probe.prefill(ids)
    await draw(probe, 2)
    const operations = lengths()
    probe.free()
    for (let at = 0; at < operations; at += 7) {
      const sequence = createSequence(network, options)
      await sequence.prefill(ids)
      const start = { logits: [...await sequence.logits()], kept: await sequence.kept() }
      const tokens: number[] = [await sequence.next()]
      for (let step = 1; step < answer; step++) {
        if (step % 4 === 2) {
          arm(Math.min(operations - 1, at + step))
          await sequence.next().then(() => assert.unreachable('not broken off'), error => assert.is(error.name, 'AbortError'))
        }
        tokens.push(await sequence.next())
      }
      assert.equal({ ...start, tokens, last: [...await sequence.logits()] }, expected, `broken off around operation ${at} of ${operations}`)
      sequence.free()
    }
    model.free()
  })

test.run()
