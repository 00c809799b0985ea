import { readFileSync } from 'node:fs'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { Policy } from '../../src/cache/policy.ts'
import { adakv } from '../../src/methods/adakv.ts'
import { keydiff } from '../../src/methods/keydiff.ts'
import { knorm } from '../../src/methods/knorm.ts'
import { kvpressLayers, paperLayers, pyramidkv } from '../../src/methods/pyramidkv.ts'
import { random } from '../../src/methods/random.ts'
import { near } from '../near.ts'
import { eighths, everywhere, fixed, on, part, scored, serve, tokensOf } from './bare.ts'
import { best } from './plain.ts'
import { createStack } from './stack.ts'
import { createAttention } from '../../src/cache/attention.ts'

// Kept positions and scores of kvpress, for keys and queries given as integers. Its rules are the goldens' `semantics`.

interface Input { name: string; T: number; Hkv: number; Hq: number; D: number; K8: number[][][]; lastHidden8: number[][] }
interface Case {
  input: string; config: string; press: string; ratio: number; kept: number[][]; keptCount: number[]; scores: number[][] | null; marginRel: number
  params: { window?: number; kernel?: number; alphaSafeguard?: number; beta?: number; layer?: number; layers?: number }
}
const golden = JSON.parse(readFileSync(new URL('../goldens/presses/evictors.json', import.meta.url), 'utf8')) as { inputs: Input[]; cases: Case[] }

/** Rows a layer of the case's model. */
const pyramid = ({ params: { window = 0, beta = 0, layers = 0 } }: Case, tokens: number, budget: number): number[] => kvpressLayers({ tokens, budget }, window, beta, layers)

function policyOf(c: Case, tokens: number, budget: number): Policy {
  const { window = 0, kernel = 0, alphaSafeguard = 0, beta = 0, layer = 0 } = c.params
  switch (c.press) {
    case 'KnormPress': return knorm({ dense: 'never' })
    case 'KeyDiffPress': return keydiff({ dense: 'never' })
    case 'AdaKVPress': return adakv({ variant: 'kvpress', window, kernel, floor: alphaSafeguard * 100, dense: 'never' })
    // One layer stands for the one of the case.
    case 'PyramidKVPress': return fixed(pyramidkv({ variant: 'kvpress', window, kernel, beta }), { layers: [pyramid(c, tokens, budget)[layer]!] })
  }
  throw new RangeError(`press must be one that has a method here, got ${c.press}`)
}

for (const c of golden.cases)
  test(`${c.config}, input ${c.input}`, async () => {
    const input = golden.inputs.find(({ name }) => name === c.input)!
    const { T, Hq: heads, Hkv: kvHeads, D: headDim } = input, { window = 0 } = c.params
    const budget = Math.trunc(T * (1 - c.ratio))
    await everywhere(async k => {
      const watched = scored(policyOf(c, T, budget))
      const a = createAttention({ kernels: k, heads, kvHeads, headDim, policy: watched.policy, budget })
      a.plan(T, 8)
      await a.append(eighths(input.K8), new Float32Array(T * kvHeads * headDim))
      if (window) await a.observe(Float32Array.from(input.lastHidden8.slice(8 - window).flat(), x => x / 8))
      const what = `${c.config}, input ${c.input} on ${k.name}`
      const kept = await a.compress()
      assert.equal(kept.map(rows => rows.length), c.keptCount, what)
      assert.equal(kept, c.kept, what)
      const { pooled } = await watched.scores(k), mean = window ? window * heads / kvHeads : 1
      // Means over window and group there, sums here; the window's own scores are kvpress's.
      if (c.scores) pooled.forEach((row, h) => near(row.slice(0, T - window).map(x => x / mean), c.scores![h]!.slice(0, T - window), window ? 5e-7 : 1e-5, `${what}: scores of head ${h}`))
      watched.free(k)
      a.free()
    })
  })

test('pyramids of the authors\' code', () => {
  const rows = (tokens: number, layers = 4, budget = 64): number[] => paperLayers({ tokens, budget }, 8, 20, layers)
  assert.equal([50, 100, 115, 1000].map(n => rows(n)), [[50, 50, 50, 50], [64, 64, 64, 64], [115, 81, 47, 13], [118, 82, 46, 10]])
  const many = rows(4096, 32, 128)
  assert.equal([many[0], many[1], many[31], many.reduce((a, b) => a + b)], [242, 235, 25, 4272])
  for (let n = 65; n < 600; n += 7)
    for (const layers of [2, 3, 7]) {
      const got = rows(n, layers)
      assert.ok(got.every((x, i) => x <= n && x >= 8 && x <= (got[i - 1] ?? x)), `${n}: ${got}`)
      assert.ok(Math.abs(got.reduce((a, b) => a + b) - layers * 64) <= layers * (layers - 1) / 2, `${n}: ${got}`)
    }
})

test('pyramids of kvpress', () => {
  assert.equal(kvpressLayers({ tokens: 4096, budget: 2047.5 }, 64, 20, 4), [3994, 2697, 1399, 102])
  assert.equal(new Set(kvpressLayers({ tokens: 4096, budget: 409.1 }, 64, 20, 4)), new Set([410]))
})

const sizes = { heads: 6, kvHeads: 2, headDim: 16 }
const tokens = 300, given = tokensOf(tokens + 40, sizes, 3)

test('each layer of a pyramid holds its own rows, and a second prompt is cut back to them', async () => {
  const k = await on('wasm')
  for (const variant of ['paper', 'kvpress'] as const) {
    const stack = createStack(k, sizes, { layers: 3, policy: pyramidkv({ window: 8, beta: 4, variant, dense: 'never' }), budget: 64 })
    const of = variant === 'paper' ? paperLayers : kvpressLayers
    const rows = of({ tokens, budget: 64 }, 8, 4, 3)
    const layers = Array.from({ length: 3 }, (_, i) => tokensOf(tokens + 40, sizes, 31 + i))
    const counts = (kept: number[][][]): number[][] => kept.map(heads => heads.map(set => set.length))
    assert.equal(counts(await stack.prompt(layers.map(t => part(t, 0, tokens)))), rows.map(n => [n, n]))
    assert.ok(rows[0]! > rows[2]!)
    assert.equal(counts(await stack.prompt(layers.map(t => part(t, tokens)))), rows.map(n => [n, n]))
    stack.free()
  }
})

test('heads that share rows: as many in all, a floor each, the window, again after a second prompt', () => everywhere(async k => {
  const few = 96, t = part(given, tokens - few)
  for (const floor of [0, 20, 100])
    for (const budget of [32, 40, 64]) {
      const a = createAttention({ kernels: k, ...sizes, policy: adakv({ window: 8, floor, dense: 'never' }), budget, kv: 'i16' })
      // One head's queries see little but their own neighbours: its rows are worth less.
      const uneven = { ...t, queries: t.queries.map((x, i) => i % 96 < 48 ? x * 4 : x / 4) }
      for (const [from, to] of [[0, few], [few, few + 40]] as const) {
        const turn = part(uneven, from, to)
        a.plan(turn.n, 8)
        await a.append(turn.keys, turn.values)
        await a.observe(turn.queries)
        const kept = await a.compress(), what = `floor ${floor}, budget ${budget}, ${to} tokens on ${k.name}`
        assert.is(kept.reduce((sum, rows) => sum + rows.length, 0), 2 * budget, what)
        if (floor === 100) assert.equal(kept.map(rows => rows.length), [budget, budget], what)
        if (floor === 0 && budget === 64) assert.is.not(kept[0]!.length, kept[1]!.length, what)
        for (const rows of kept) {
          assert.ok(rows.length >= Math.max(8, Math.trunc(budget * floor / 100)), what)
          assert.equal(rows.slice(-8), Array.from({ length: 8 }, (_, i) => to - 8 + i), what)
          assert.ok(rows.every((row, i) => row >= 0 && row > (rows[i - 1] ?? -1)), what)
        }
      }
      a.free()
    }
}))

test('norms: no row that stays has a longer key than one that goes, whatever the queries', async () => {
  const k = await on('wasm')
  const got = await serve(k, sizes, knorm({ dense: 'never' }), given, { tokens, budget: 50 })
  const norms = [0, 1].map(h => Array.from({ length: tokens }, (_, t) => -Math.hypot(...given.keys.subarray((t * 2 + h) * 16, (t * 2 + h + 1) * 16))))
  assert.equal(got.kept, norms.map(scores => best(scores, 50)))
  const other = await serve(k, sizes, knorm({ dense: 'never' }), { ...given, queries: given.queries.map(x => -x) }, { tokens, budget: 50 })
  assert.equal(other.kept, got.kept)
})

test('random rows: by the seed and the layer, spread over the prompt', async () => {
  const k = await on('wasm')
  const rows = async (seed: number, from = given): Promise<number[][]> => (await serve(k, sizes, random({ seed, dense: 'never' }), from, { tokens, budget: 100 })).kept
  const one = await rows(1)
  assert.equal(one, await rows(1, tokensOf(tokens + 16, sizes, 99)))
  assert.equal(one[0], one[1])
  assert.is.not(String(await rows(2)), String(one))
  // Of 100 rows of 300 drawn evenly, each third gets about 33; 15 are six deviations.
  for (const third of [0, 1, 2]) assert.ok(Math.abs(one[0]!.filter(row => Math.floor(row / 100) === third).length - 33) < 15)
  const stack = createStack(k, sizes, { layers: 2, policy: random({ dense: 'never' }), budget: 100 })
  const [a, b] = await stack.prompt([part(given, 0, tokens), part(given, 0, tokens)])
  assert.is.not(String(a), String(b))
  stack.free()
})

test.run()
