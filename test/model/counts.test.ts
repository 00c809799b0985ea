import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { operations, type Kernels, type OperationName, type Program } from '../../src/kernels/index.ts'
import { createReading } from '../../src/model/reading.ts'
import { createSequence } from '../../src/model/sequence.ts'
import { draw, llama, policyOf, someIds, working } from './helpers.ts'

// What a sequence computes, counted: nothing that nobody asks for.

interface Counts { /** Rows of logits that were made. */ head: number; /** Tokens that were looked up. */ embed: number; sample: number; /** Rows of all layers whose feed-forward ran. */ gate: number }

/** Kernels that count tokens as programs run. */
function counting(k: Kernels, vocabulary: number): { kernels: Kernels; take(): Counts } {
  const programs = new WeakMap<Program, OperationName[]>()
  let names: (OperationName | 'head')[] = [], counts: Counts = { head: 0, embed: 0, sample: 0, gate: 0 }
  const wrapped = Object.fromEntries((Object.keys(operations) as OperationName[]).map(name => [name, (o: { rows?: number }) => {
    names.push(name === 'project' && o.rows === vocabulary ? 'head' : name)
    ;(k[name] as (o: object) => void)(o)
  }])) as unknown as Kernels
  const kernels: Kernels = {
    ...k, ...wrapped,
    record(body) {
      names = []
      const program = k.record(body)
      programs.set(program, names as OperationName[])
      return program
    },
    async run(program, registers, signal) {
      for (const name of programs.get(program)!) if (name in counts) counts[name as keyof Counts] += registers.tokens
      await k.run(program, registers, signal)
    },
    async once(registers, body) {
      const program = kernels.record(body)
      await kernels.run(program, registers)
      kernels.release(program)
    },
  }
  return { kernels, take() { const now = counts; counts = { head: 0, embed: 0, sample: 0, gate: 0 }; return now } }
}

const layers = 3, n = 400

for (const row of working.slice(0, 5))
  test(`${row.method}: logits once a prompt and once a token; a turn reads what it adds`, async () => {
    const model = await llama({ layers }), { kernels, take } = counting(model.kernels, model.config.vocabulary)
    const sequence = createSequence({ ...model.network, k: kernels }, { policy: policyOf(row), budget: row.budget, answer: 12, kv: 'i16', precision: 'fast' })
    await sequence.prefill(someIds(n))
    assert.equal(take(), { head: 1, embed: n, sample: 0, gate: n * layers })
    // The prompt's logits are there: the first token costs its draw alone.
    await draw(sequence, 1)
    assert.equal(take(), { head: 0, embed: 0, sample: 1, gate: 0 })
    await draw(sequence, 4)
    assert.equal(take(), { head: 4, embed: 4, sample: 4, gate: 4 * layers })
    // The last drawn token was not read yet.
    await sequence.prefill(someIds(30, 2))
    assert.equal(take(), { head: 1, embed: 31, sample: 0, gate: 31 * layers })
    const fork = sequence.fork()
    await fork.prefill(someIds(7, 3))
    assert.equal(take(), { head: 1, embed: 7, sample: 0, gate: 7 * layers })
    model.free()
  })

test('tokens that stay behind cost nothing in later layers', async () => {
  const model = await llama({ layers }), { kernels, take } = counting(model.kernels, model.config.vocabulary)
  const sequence = createSequence({ ...model.network, k: kernels }, { policy: policyOf(working[0]!), budget: 1, answer: 12, kv: 'i16', precision: 'fast', propagate: 'fastkv,layer=0,rate=0.25' })
  await sequence.prefill(someIds(n))
  assert.equal(take(), { head: 1, embed: n, sample: 0, gate: n + (layers - 1) * n / 4 })
  model.free()
})

test('questions about a document that was read read the question', async () => {
  const model = await llama({ layers }), { kernels, take } = counting(model.kernels, model.config.vocabulary)
  const ids = someIds(n), reading = await createReading({ ...model.network, k: kernels }, { ids, kv: 'i16', precision: 'fast' })
  assert.equal(take(), { head: 0, embed: n, sample: 0, gate: n * layers })
  const asked = await reading.ask([...ids, ...someIds(9, 5)])
  assert.is(reading.shares(asked.ids), n)
  assert.equal(take(), { head: 1, embed: 9, sample: 0, gate: 9 * layers })
  model.free()
})

test.run()
