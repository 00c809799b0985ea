import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { Kernels, Program, Tensor } from '../../src/kernels/index.ts'
import { full } from '../../src/methods/full.ts'
import { fastkv, goingOn, parsePropagation } from '../../src/model/propagate.ts'
import { createSequence } from '../../src/model/sequence.ts'
import type { Tokens } from '../methods/bare.ts'
import { best, votes } from '../methods/plain.ts'
import { draw, llama, policyOf, someIds, working } from './helpers.ts'

// Prompts of which some tokens stay behind: FastKV's token-selective propagation.

const layers = 4, answer = 12, prompt = someIds(300), turn = someIds(120, 4)

/** What two prompts and an answer after each leave to see, but for memory. */
async function seen(row: typeof working[number], propagate?: string, threads = 1): Promise<unknown> {
  const model = await llama({ layers }, { threads })
  const sequence = model.sequence({ policy: policyOf(row), budget: row.budget, answer, propagate })
  const all: unknown[] = []
  for (const ids of [prompt, turn]) {
    await sequence.prefill(ids)
    all.push([...await sequence.logits()], await sequence.kept(), await draw(sequence, 4))
  }
  all.push({ ...await sequence.ledger(), memoryBytes: 0, memoryBytesPeak: 0 })
  model.free()
  return all
}

for (const row of working) {
  test(`${row.method}: where all tokens go on, every bit is as without`, async () => {
    assert.equal(await seen(row, 'fastkv,rate=1'), await seen(row))
  })

  test(`${row.method}: rows, positions and bytes where some stay behind`, async () => {
    const model = await llama({ layers }), policy = policyOf(row), options = { policy, budget: row.budget, answer }
    const propagate = fastkv({ layer: 1, rate: 0.25 }), on = goingOn(propagate, { layers }, prompt.length, policy.score?.window ?? 0)
    const whole = model.sequence(options), part = model.sequence({ ...options, propagate })
    await whole.prefill(prompt)
    await part.prefill(prompt)
    const all = await whole.kept(), kept = await part.kept(), last = Math.max(propagate.window, policy.score?.window ?? 0)
    assert.equal(kept.slice(0, 2), all.slice(0, 2), 'layers up to it read every token')
    const most = policy.evicts ? Math.min(part.plan().kept, on.tokens) : on.tokens
    for (const heads of kept.slice(2)) for (const rows of heads) {
      assert.equal(rows, [...new Set(rows)].sort((a, b) => a - b), 'ascending, each once')
      // Whole chunks, of which the short last one may be one, may be fewer rows.
      if (policy.name === 'chunkkv') assert.ok(rows.length <= most && rows.length > most / 2, `${rows.length} of ${most}`)
      else assert.is(rows.length, most)
      if (!row.method.startsWith('chunkkv,variant')) for (let p = prompt.length - Math.min(last, most); p < prompt.length; p++) assert.ok(rows.includes(p) || policy.evicts && !policy.score && p < prompt.length - most, `newest row ${p}`)
    }
    const told = model.plan({ ...options, tokens: prompt.length, propagate })
    // kvpress keeps whole chunks, of which the short last one may be one.
    const agree = (ledger: number, plan: number): void => row.method.startsWith('chunkkv,variant') ? assert.ok(ledger <= plan, `${ledger} > ${plan}`) : assert.is(ledger, plan)
    agree((await part.ledger()).afterPrefill.kvBytes, told.held)
    const [less, more] = [(await part.ledger()).kvBytes, (await whole.ledger()).kvBytes]
    assert.ok(policy.evicts ? less <= more : less < more, `${less} of ${more} bytes`)
    await draw(part, answer)
    agree((await part.ledger()).kvBytesPeak, told.peak)
    // What is decoded goes on after the whole prompt.
    const after = await part.kept()
    if (!policy.evicts) for (const heads of after) for (const rows of heads) assert.equal(rows.slice(1 - answer), Array.from({ length: answer - 1 }, (_, i) => prompt.length + i))
    assert.is((await part.ledger()).tokensSeen, prompt.length + answer - 1)
    model.free()
  })
}

test('rows that a step reads are a mean over layers that hold different many', async () => {
  const model = await llama({ layers }), budget = 200, read = budget / 2, on = 75
  const sequence = model.sequence({ policy: policyOf({ method: 'hsa' }), budget, answer, propagate: fastkv({ layer: 2, rate: on / prompt.length }) })
  await sequence.prefill(prompt)
  await draw(sequence, 4)
  assert.is((await sequence.ledger()).rowsReadPerStep, (3 * read + on + 3) / 4)
  model.free()
})

test('threads change no bit', async () => {
  for (const row of working.slice(0, 2)) {
    assert.equal(await seen(row, 'fastkv,rate=0.3', 2), await seen(row, 'fastkv,rate=0.3'))
  }
})

/** Kernels that keep the rotated keys and queries of every layer's rows, as the programs leave them. */
function watching(k: Kernels): { kernels: Kernels; layers: { keys: number[]; queries: number[] }[] } {
  const programs = new WeakMap<Program, { layer: Tensor; keys: Tensor; query: Tensor }>(), found = new Map<number, { keys: number[]; queries: number[] }>()
  let keys: Tensor | null = null, query: Tensor | null = null, layer: Tensor | null = null
  const kernels: Kernels = {
    ...k,
    append(o) { keys = o.keys; layer = o.segments; k.append(o) },
    attend(o) { query = o.query; k.attend(o) },
    record(body) {
      keys = query = layer = null
      const program = k.record(body)
      if (keys && query && layer) programs.set(program, { keys, query, layer })
      return program
    },
    async run(program, registers, signal) {
      await k.run(program, registers, signal)
      const of = programs.get(program)
      if (!of) return
      const rows = found.get(of.layer.address) ?? { keys: [], queries: [] }
      found.set(of.layer.address, rows)
      const take = async (t: Tensor): Promise<number[]> => Array.from(await k.read(t, 0, registers.tokens * t.shape[1]! * t.shape[2]!))
      rows.keys.push(...await take(of.keys))
      rows.queries.push(...await take(of.query))
    },
  }
  return { kernels, get layers() { return [...found.values()] } }
}

test('the tokens that go on are those of a plain computation, in a second prompt too', async () => {
  const sizes = { heads: 4, kvHeads: 2, headDim: 32 }
  const model = await llama({ layers, ...sizes }, { precision: 'exact' }), watch = watching(model.kernels)
  const propagate = fastkv({ layer: 1, rate: 0.3, window: 8, kernel: 7 })
  const sequence = createSequence({ ...model.network, k: watch.kernels }, { policy: full(), budget: 1, answer: 200, kv: 'f32', precision: 'exact', propagate })
  let before = 0
  for (const ids of [prompt, turn]) {
    await sequence.prefill(ids)
    const { keys, queries } = watch.layers[1]!, n = before + ids.length
    const tokens: Tokens = { n, keys: Float32Array.from(keys), values: new Float32Array(keys.length), queries: Float32Array.from(queries) }
    const prefix = n - propagate.window, half = (propagate.kernel - 1) / 2, scores = Array.from({ length: prefix }, () => 0)
    for (let head = 0; head < sizes.kvHeads; head++) {
      const each = votes(tokens, sizes, head, propagate.window).prefix
      for (let i = 0; i < prefix; i++) for (let j = Math.max(0, i - half); j <= Math.min(prefix - 1, i + half); j++) scores[i]! += each[j]! / propagate.kernel
    }
    const keep = Math.floor(ids.length * propagate.rate)
    const expected = [...best(scores.slice(before), keep - propagate.window).map(i => before + i), ...Array.from({ length: propagate.window }, (_, i) => prefix + i)]
    for (const heads of (await sequence.kept()).slice(2)) for (const rows of heads) assert.equal(rows.filter(p => p >= before), expected)
    before = n
  }
  model.free()
})

test('a propagation from text', () => {
  assert.equal(parsePropagation('fastkv'), fastkv())
  assert.equal(parsePropagation('fastkv,layer=15,rate=0.2,window=16,kernel=5'), fastkv({ layer: 15, rate: 0.2, window: 16, kernel: 5 }))
  assert.equal(goingOn(fastkv(), { layers: 32 }, 1000, 0), { layer: 15, tokens: 200 })
  assert.equal(goingOn(fastkv(), { layers: 1 }, 30, 32), { layer: 0, tokens: 30 })
  assert.equal(goingOn(fastkv({ rate: 0.01 }), { layers: 30 }, 300, 32), { layer: 14, tokens: 32 })
  for (const [text, message] of [
    ['snapkv', 'propagate must be fastkv, got snapkv'], ['fastkv,rate=0', 'fastkv: rate must be above 0 and at most 1, got 0'],
    ['fastkv,rate=', 'fastkv: rate must be a number, got nothing'], ['fastkv,layer=1.5', 'fastkv: layer must be a whole number from 0 on, got 1.5'],
    ['fastkv,kernel=4', 'fastkv: kernel must be odd and positive, got 4'], ['fastkv,width=4', 'fastkv: parameter must be one of layer, rate, window, kernel, got width'],
    ['fastkv,window=129', 'fastkv: window must be a whole number from 1 to 128, got 129'],
  ] as const) assert.throws(() => parsePropagation(text), (error: Error & { code?: string }) => error.message === message && error.code === 'usage')
  assert.throws(() => goingOn(fastkv({ layer: 4 }), { layers: 4 }, 100, 0), 'fastkv: layer must be below the model\'s 4, got 4')
})

test('a document that was read in all layers cannot be asked with it', async () => {
  const model = await llama({ layers }), reading = await model.read({ ids: prompt })
  assert.throws(() => reading.generate('?', { propagate: 'fastkv' }), (error: Error & { code?: string }) => error.code === 'usage' && error.message.startsWith('propagate must be asked of a whole prompt'))
  model.free()
})

test.run()
