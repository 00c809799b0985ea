import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { load } from '../../src/load.ts'
import { methods } from '../../src/methods/index.ts'
import type { Policy } from '../../src/cache/policy.ts'
import { wasm } from '../../src/wasm/index.ts'
import { tiny, withSmollm } from '../models.ts'

/** Ids and logits of every method, in both precisions. */
async function answers(threads: number): Promise<{ name: string; ids: number[]; logits: number[] }[]> {
  const rows = []
  for (const precision of ['fast', 'exact'] as const) {
    const model = await load(tiny, { threads, precision })
    assert.is(model.kernels.threads, threads)
    const prompt = Array.from({ length: 700 }, (_, i) => 3 + i * 37 % 1000)
    for (const [name, make] of Object.entries(methods)) {
      const policy = (make as () => Policy)()
      // What packs its rows is not for exact numbers.
      if (policy.store && precision === 'exact') continue
      const sequence = model.sequence({ policy, budget: 64, answer: 8 })
      await sequence.prefill(prompt)
      const ids: number[] = []
      while (ids.length < 6) ids.push(await sequence.next())
      rows.push({ name: `${name}, ${precision}`, ids, logits: Array.from(await sequence.logits()) })
      sequence.free()
    }
    model.free()
  }
  return rows
}

test('any number of threads gives the same bits', async () => {
  const one = await answers(1)
  for (const threads of [2, 3]) (await answers(threads)).forEach((row, i) => assert.equal(row, one[i], `${row.name}, ${threads} threads`))
})

test('packed rows and selective propagation give the same bits with any number of threads', async () => {
  const prompt = Array.from({ length: 700 }, (_, i) => 3 + i * 37 % 1000), results: { name: string; ids: number[]; logits: number[] }[][] = []
  for (const threads of [1, 2]) {
    const rows = []
    for (const kv of ['q8', 'q4'] as const) {
      const model = await load(tiny, { threads, kv })
      for (const [name, propagate] of [['full'], ['rocketkv-mt'], ['sparq'], ['rocketkv', 'fastkv']] as const) {
        const sequence = model.sequence({ policy: methods[name](), budget: 64, answer: 8, propagate })
        await sequence.prefill(prompt)
        const ids: number[] = []
        // A group of 64 rows is closed on the way.
        while (ids.length < 70) ids.push(await sequence.next())
        rows.push({ name: `${name}, ${kv}`, ids, logits: Array.from(await sequence.logits()) })
      }
      model.free()
    }
    results.push(rows)
  }
  results[1]!.forEach((row, i) => assert.equal(row, results[0]![i], row.name))
})

test('a number of threads that is none is refused', async () => {
  for (const threads of [0, 1.5, NaN, 65]) {
    const refused = await wasm({ threads }).then(() => null, (error: Error & { code?: string }) => error)
    assert.equal([refused?.code, refused?.message], ['usage', `threads must be a whole number from 1 to 64, got ${threads}`])
  }
})

test('one head shared by threads in chunks gives the same bits', async () => {
  const results = []
  for (const threads of [1, 2]) {
    const model = await load(tiny, { threads })
    const sequence = model.sequence({ policy: methods.full(), budget: 64, answer: 8 })
    await sequence.prefill(Array.from({ length: 2100 }, (_, i) => 3 + i * 37 % 1000))
    const ids: number[] = []
    while (ids.length < 4) ids.push(await sequence.next())
    results.push({ ids, logits: Array.from(await sequence.logits()) })
    model.free()
  }
  assert.equal(results[1], results[0])
})

withSmollm(test, 'few barriers: products of the same activations are shared out as one', async path => {
  const model = await load(path, { threads: 2 })
  const sequence = model.sequence({ policy: methods.full(), budget: 64, answer: 8 })
  await sequence.prefill(Array.from({ length: 600 }, (_, i) => 3 + i * 37 % 1000))
  await sequence.next()
  const before = model.kernels.sharing()
  await sequence.next()
  const after = model.kernels.sharing()
  // A layer: query, key, value; attention; output; gate, up; down. Then the head. A pause within an operation splits it.
  const barriers = after.barriers - before.barriers, least = model.config.layers * 5 + 1
  assert.ok(barriers >= least && barriers <= least + 5, `${barriers}`)
  assert.is(after.waited.length, 2)
  assert.ok(after.waited.every((ms, thread) => ms >= before.waited[thread]!) && after.waited[1]! > 0, after.waited.join())
  model.free()
})

test.run()
