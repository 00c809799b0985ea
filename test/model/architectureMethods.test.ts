import { readdirSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { openSource, readHeader } from '../../src/gguf/index.ts'
import { load, type LoadOptions, type Model } from '../../src/load.ts'
import { full } from '../../src/methods/full.ts'
import { readConfig } from '../../src/model/config.ts'
import { createNetwork } from '../../src/model/llama.ts'
import { freeWeights, loadWeights } from '../../src/model/weights.ts'
import { wasm } from '../../src/wasm/index.ts'
import { random } from '../cases.ts'
import { draw, policyOf, working } from './helpers.ts'

// Every method on every architecture: it runs, holds what its budget and the windows say, and what was promised of bits holds here too.

const folder = fileURLToPath(new URL('../goldens/families/', import.meta.url))
const names = readdirSync(folder).filter(name => name.endsWith('.gguf')).map(name => name.replace('.gguf', ''))
const answer = 6

function someIds(n: number, seed = 1): number[] {
  const next = random(seed)
  return Array.from({ length: n }, () => Math.floor(next() * 260))
}

async function withModel(name: string, body: (model: Model) => Promise<void>, options: LoadOptions = {}): Promise<void> {
  const model = await load(`${folder}${name}.gguf`, options)
  try {
    await body(model)
  } finally {
    model.free()
  }
}

/** Packed rows too, where layers slide and where all are whole: what slides stays as it was read. */
const runs: readonly (readonly [string, LoadOptions])[] = [...names.map((name): [string, LoadOptions] => [name, {}]), ['gemma3', { kv: 'q8' }], ['qwen3', { kv: 'q8' }]]

for (const [name, options] of runs)
  test(`${name}${options.kv ? `, ${options.kv}` : ''}: every method runs and holds what it says`, () => withModel(name, async model => {
    const { kinds, kvHeads } = model.config, ids = someIds(170)
    const whole = kinds.every(({ window }) => !window) ? 170 : null
    for (const row of working) {
      const policy = policyOf(row)
      const told = model.plan({ policy, tokens: ids.length, answer, budget: row.budget })
      const sequence = model.sequence({ policy, budget: row.budget, answer })
      await sequence.prefill(ids)
      const kept = await sequence.kept()
      kept.forEach((layer, at) => layer.forEach(positions => {
        const { window } = kinds[at]!
        if (window) assert.ok(positions.length >= window - 1 && positions.length < window + 64 && positions.at(-1) === 169, `${row.method}, layer ${at}: ${positions.length} rows`)
        else if (policy.evicts) assert.ok(positions.length <= told.planned.kept, `${row.method}, layer ${at}: ${positions.length} rows`)
        else assert.is(positions.length, 170)
      }))
      assert.is((await sequence.ledger()).kvBytes, told.held, `${row.method}: bytes`)
      // RocketKV-MT holds the history beside what it reads.
      if (!policy.history) assert.is((await sequence.ledger()).afterPrefill.tokensHeld, kept.flat().reduce((sum, positions) => sum + positions.length, 0) / kept.length / kvHeads)
      const tokens = await draw(sequence, answer), ledger = await sequence.ledger()
      assert.ok(tokens.every(id => id >= 0 && id < 260))
      assert.ok([...await sequence.logits()].every(Number.isFinite), row.method)
      if (row.method === 'full' && whole) assert.is(ledger.rowsReadPerStep, whole + answer - 1)
      if (row.method === 'snapkv') assert.is(ledger.rowsReadPerStep, kinds.reduce((sum, { window }) => sum + (window || 48 + answer - 1), 0) / kinds.length)
      assert.ok(ledger.kvBytesPeak <= told.peak, `${row.method}: at most ${told.peak} bytes, got ${ledger.kvBytesPeak}`)
      // A second turn: what slid goes on sliding, what was cut is cut again.
      const other = sequence.fork()
      await sequence.prefill(someIds(90, 3))
      for (const [at, layer] of (await sequence.kept()).entries())
        for (const positions of layer) {
          const { window } = kinds[at]!
          assert.is(positions.at(-1), 170 + answer + 89, row.method)
          if (window) assert.ok(positions.length >= window - 1 && positions.length < window + 64, `${row.method}, layer ${at}: ${positions.length} rows after another turn`)
        }
      const drawn = await draw(sequence, 2)
      await other.prefill(someIds(90, 3))
      assert.equal(await draw(other, 2), drawn, `${row.method}: a fork`)
      other.free()
      sequence.free()
    }
  }, options))

for (const name of names)
  test(`${name}: at once, in parts, token by token, from a reading and forked: the same bits`, () => withModel(name, async model => {
    const ids = someIds(300, 2), all: unknown[] = []
    const seen = async (sequence: { logits(): Promise<Float32Array>; next(): Promise<number>; free(): void } & Parameters<typeof draw>[0]): Promise<void> => {
      const logits = [...await sequence.logits()], tokens = await draw(sequence, answer)
      all.push({ logits, tokens, last: [...await sequence.logits()] })
      sequence.free()
    }
    for (const parts of [[300], [1, 299], [130, 127, 43]]) {
      const sequence = model.sequence({ policy: full(), budget: 1, answer })
      for (let at = 0, i = 0; i < parts.length; at += parts[i]!, i++) await sequence.prefill(ids.slice(at, at + parts[i]!))
      if (parts.length === 3) await seen(sequence.fork())
      await seen(sequence)
    }
    const fed = model.sequence({ policy: full(), budget: 1, answer })
    await fed.prefill(ids.slice(0, 1))
    for (const id of ids.slice(1)) await fed.feed(id)
    await seen(fed)
    const reading = await model.read({ ids: ids.slice(0, 200) }), asked = await reading.ask(ids)
    await seen(await asked.answer({ policy: full(), budget: 1, answer }))
    asked.free()
    reading.free()
    for (const other of all.slice(1)) assert.equal(other, all[0])
  }))

for (const [name, rows] of [['qwen3', 64], ['gemma3', 64], ['olmo2', 64], ['qwen2', 0]] as const)
  test(`${name}: the newest ${rows} rows are read besides, unless told otherwise`, () => withModel(name, async model => {
    const read = async (method: string): Promise<number> => {
      const sequence = model.sequence({ policy: policyOf({ method }), budget: 64, answer: 1 })
      await sequence.prefill(someIds(400))
      await draw(sequence, 2)
      const { rowsReadPerStep } = await sequence.ledger()
      sequence.free()
      const windows = model.config.kinds.reduce((sum, { window }) => sum + window, 0)
      return (rowsReadPerStep * model.config.layers - windows) / model.config.kinds.filter(({ window }) => !window).length
    }
    for (const method of ['rocketkv', 'hsa']) {
      assert.ok(Math.abs(await read(method) - await read(`${method},recent=${rows}`)) < 1e-9, method)
      assert.ok(Math.abs(await read(`${method},recent=0`) - 32) < 1e-9, method)
      if (rows) assert.ok(await read(method) > 32 && await read(method) <= 32 + rows, method)
    }
  }))

test('a reading answers as one pass does, under every method, where layers slide', () => withModel('gemma2', async model => {
  const ids = someIds(220), reading = await model.read({ ids: ids.slice(0, 150) }), asked = await reading.ask(ids)
  for (const row of working) {
    const results: unknown[] = []
    for (const from of ['reading', 'prefill']) {
      const options = { policy: policyOf(row), budget: row.budget, answer }
      const sequence = from === 'reading' ? await asked.answer(options) : model.sequence(options)
      if (from === 'prefill') await sequence.prefill(ids)
      results.push({ kept: await sequence.kept(), tokens: await draw(sequence, answer), logits: [...await sequence.logits()] })
      sequence.free()
    }
    assert.equal(results[0], results[1], row.method)
  }
  asked.free()
  reading.free()
}))

test('tokens that stay behind are refused where layers slide, and spread over a model that scales its scores', async () => {
  await withModel('gemma2', async model => {
    const sequence = model.sequence({ policy: full(), budget: 1, answer, propagate: 'fastkv' })
    await sequence.prefill(someIds(100)).then(() => assert.unreachable('read'), (error: Error & { code?: string }) => {
      assert.is(error.code, 'usage')
      assert.is(error.message, 'fastkv: every layer of the model must see all tokens, got 2 of 4 that slide')
    })
    sequence.free()
  })
  await withModel('granite', async model => {
    const sequence = model.sequence({ policy: full(), budget: 1, answer, propagate: 'fastkv,rate=1' }), other = model.sequence({ policy: full(), budget: 1, answer })
    await sequence.prefill(someIds(100))
    await other.prefill(someIds(100))
    assert.equal([...await sequence.logits()], [...await other.logits()])
  })
})

test('threads change no bit, and a freed model leaves nothing behind', async () => {
  const all: unknown[] = []
  for (const threads of [1, 2]) {
    const model = await load(`${folder}gemma3.gguf`, { threads }), ids = someIds(300)
    const sequence = model.sequence({ policy: full(), budget: 1, answer })
    await sequence.prefill(ids)
    all.push({ tokens: await draw(sequence, answer), logits: [...await sequence.logits()] })
    sequence.free()
    model.free()
  }
  assert.equal(all[1], all[0])
  const k = await wasm()
  // What an operation works in stays with the kernels: the smallest amount after a model was freed is that alone.
  await k.once({ tokens: 0, position: 0 }, () => k.advance({ segments: k.tensor([1, 8], 'u32'), kvHeads: 1 }))
  const before = k.memory().used
  for (const name of names) {
    const file = await openSource(`${folder}${name}.gguf`), header = await readHeader(file), config = readConfig(header)
    const weights = await loadWeights(k, file, header, config), { frequencies } = await createNetwork(k, config, weights)
    await file.close()
    freeWeights(k, weights)
    k.free(...frequencies)
    assert.is(k.memory().used, before, name)
  }
})

test('a long answer slides on and holds no more than its window and a step', () => withModel('gemma3', async model => {
  const sequence = model.sequence({ policy: full(), budget: 1, answer: 16 })
  await sequence.prefill(someIds(600))
  const other = model.sequence({ policy: full(), budget: 1, answer: 16 })
  // Up to a window that lies across row 1024, where a chunk of attention ends.
  const ids = await draw(sequence, 437)
  await other.prefill([...someIds(600), ...ids.slice(0, -1)])
  assert.equal([...await sequence.logits()], [...await other.logits()])
  const held = (await sequence.kept()).map(layer => layer[0]!.length)
  model.config.kinds.forEach(({ window }, at) => assert.ok(window ? held[at]! < window + 256 : held[at] === 1036, `layer ${at}: ${held[at]} rows`))
}))

test.run()
