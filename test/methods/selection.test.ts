import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { exactTopk } from '../../src/methods/exact-topk.ts'
import { quest } from '../../src/methods/quest.ts'
import { sparq } from '../../src/methods/sparq.ts'
import { streaming } from '../../src/methods/streaming.ts'
import { near } from '../near.ts'
import { everywhere, part, serve, tokensOf, type Tokens } from './bare.ts'
import { attention, best, headsOf, products, softmax } from './plain.ts'
import { createStack } from './stack.ts'

// Rows that methods read per step, and attention over them, against the papers' formulas in f64.

const sizes = { heads: 6, kvHeads: 2, headDim: 16 }
const { headDim } = sizes
const tokens = 150, steps = 20, answer = steps
const given = tokensOf(tokens + steps, sizes, 41)
const kvHeads = [0, 1], group = 3
const mean = (rows: readonly number[][]): number[] => rows[0]!.map((_, i) => rows.reduce((sum, row) => sum + row[i]!, 0) / rows.length)
const range = (from: number, to: number): number[] => Array.from({ length: to - from }, (_, i) => from + i)

test('exact-topk: the highest mean probability of the group, or each query head for itself', () => everywhere(async k => {
  const read = 24
  for (const variant of ['paper', 'perQueryHead'] as const) {
    const got = await serve(k, sizes, exactTopk({ variant }), given, { tokens, budget: read })
    for (let i = 0; i < steps; i++) {
      const at = tokens + i
      const weights = kvHeads.map(h => products(given, sizes, h, at, at + 1).map(softmax))
      const expected = variant === 'paper' ? weights.map(w => best(mean(w), read)) : weights.flatMap(w => w.map(row => best(row, read)))
      assert.equal(got.rows[i], expected, `${variant} on ${k.name}, step ${i}`)
      const out = kvHeads.flatMap(h => attention(given, sizes, h, at, variant === 'paper' ? [expected[h]!] : expected.slice(h * group, (h + 1) * group)))
      near(got.outs[i]!, out.flat(), 1e-5, `${variant} on ${k.name}, step ${i}`)
    }
  }
}))

/** The largest product a key of each page could reach: [group][pages]. Quest, arXiv:2406.10774, Algorithm 1. */
function questScores(t: Tokens, h: number, at: number, page: number): number[][] {
  const { key, queries } = headsOf(t, sizes, h)
  return queries(at).map(query => Array.from({ length: Math.ceil((at + 1) / page) }, (_, p) => {
    const keys = range(p * page, Math.min(at + 1, (p + 1) * page)).map(key)
    return query.reduce((sum, x, c) => sum + Math.max(x * Math.min(...keys.map(row => row[c]!)), x * Math.max(...keys.map(row => row[c]!))), 0)
  }))
}

const rowsOfPages = (pages: readonly number[], page: number, live: number): number[] =>
  pages.flatMap(p => range(p * page, Math.min(live, (p + 1) * page)))

test('quest: the best pages and the newest, each query head for itself, two layers whole', () => everywhere(async k => {
  const layers = 3, budget = 70, page = 16
  const all = range(0, layers).map(i => tokensOf(tokens + steps, sizes, 51 + i))
  const stack = createStack(k, sizes, { layers, policy: quest(), budget, answer })
  await stack.prompt(all.map(t => part(t, 0, tokens)))
  for (let at = tokens; at < tokens + steps; at++) {
    const outs = await stack.step(all.map(t => part(t, at, at + 1)))
    const live = at + 1, newest = Math.ceil(live / page) - 1
    const read = kvHeads.map(h => questScores(all[2]!, h, at, page).map(scores =>
      rowsOfPages([...best(scores.slice(0, newest), Math.floor(budget / page) - 1), newest], page, live)))
    assert.equal(await stack.rows(2), read.flat(), `${k.name}, row ${at}`)
    for (const layer of range(0, layers)) {
      const out = kvHeads.flatMap(h => attention(all[layer]!, sizes, h, at, layer < 2 ? [range(0, live)] : read[h]!))
      near(outs[layer]!, out.flat(), 1e-5, `layer ${layer} on ${k.name}, row ${at}`)
    }
  }
  stack.free()
}))

test('quest as the RocketKV paper compares it: pages by the scores of the group, half of the budget in rows', () => everywhere(async k => {
  const budget = 64, page = Math.ceil((tokens + answer) / budget)
  const got = await serve(k, sizes, quest({ variant: 'rocketkv' }), given, { tokens, budget })
  for (let i = 0; i < steps; i++) {
    const live = tokens + i + 1
    assert.equal(got.rows[i], kvHeads.map(h => {
      const scores = mean(questScores(given, h, live - 1, page))
      const ranked = [...scores.keys()].sort((a, b) => scores[b]! - scores[a]! || a - b)
      return rowsOfPages(ranked, page, live).slice(0, budget / 2).sort((a, b) => a - b)
    }), `${k.name}, step ${i}`)
  }
}))

/** Probabilities by the `count` channels on which the group's queries are largest: [group][live]. SparQ, arXiv:2312.04985, Algorithm 1. */
function sparqWeights(t: Tokens, h: number, at: number, count: number): number[][] {
  const { key, queries } = headsOf(t, sizes, h)
  const size = (query: ArrayLike<number>, channels: readonly number[]): number => channels.reduce((sum, c) => sum + Math.abs(query[c]!), 0)
  const every = range(0, headDim)
  const channels = best(every.map(c => queries(at).reduce((sum, query) => sum + Math.abs(query[c]!), 0)), count)
  return queries(at).map(query => {
    const temperature = Math.sqrt(headDim * size(query, channels) / size(query, every))
    return softmax(range(0, at + 1).map(row => channels.reduce((sum, c) => sum + query[c]! * key(row)[c]!, 0) / temperature))
  })
}

test('sparq: the best rows and the newest, the mean value for the rest', () => everywhere(async k => {
  const budget = 80, read = budget / 2, count = Math.floor(headDim * budget / (tokens + answer))
  for (const recent of [undefined, 0, 5]) {
    const last = recent ?? read / 4
    const got = await serve(k, sizes, sparq(recent === undefined ? {} : { recent }), given, { tokens, budget })
    for (let i = 0; i < steps; i++) {
      const live = tokens + i + 1, what = `${last} newest on ${k.name}, step ${i}`
      const weights = kvHeads.map(h => sparqWeights(given, h, live - 1, count))
      const read1 = weights.map(w => [...best(mean(w).slice(0, live - last), read - last), ...range(live - last, live)])
      assert.equal(got.rows[i], read1, what)
      const out = kvHeads.flatMap(h => attention(given, sizes, h, live - 1, [read1[h]!]).map((own, g) => {
        const share = read1[h]!.reduce((sum, row) => sum + weights[h]![g]![row]!, 0)
        const { value } = headsOf(given, sizes, h)
        return own.map((x, c) => share * x + (1 - share) * range(0, live).reduce((sum, row) => sum + value(row)[c]!, 0) / live)
      }))
      near(got.outs[i]!, out.flat(), 1e-5, what)
    }
  }
}))

test('sparq as the RocketKV paper compares it: the best rows alone', () => everywhere(async k => {
  const budget = 80, count = Math.floor(headDim * budget / (tokens + answer))
  const got = await serve(k, sizes, sparq({ variant: 'rocketkv' }), given, { tokens, budget })
  for (let i = 0; i < steps; i++) {
    const at = tokens + i
    const rows = kvHeads.map(h => best(mean(sparqWeights(given, h, at, count)), budget / 2))
    assert.equal(got.rows[i], rows, `${k.name}, step ${i}`)
    near(got.outs[i]!, kvHeads.flatMap(h => attention(given, sizes, h, at, [rows[h]!])).flat(), 1e-5, `${k.name}, step ${i}`)
  }
}))

test('streaming over hundreds of tokens: the first rows and the newest', () => everywhere(async k => {
  const budget = 64, sinks = 4, long = 400
  const t = tokensOf(tokens + long, sizes, 61)
  const got = await serve(k, sizes, streaming({ sinks }), t, { tokens, budget })
  for (let at = tokens; at < t.n; at++) {
    const rows = [...range(0, sinks), ...range(at + 1 - (budget - sinks), at + 1)]
    near(got.outs[at - tokens]!, kvHeads.flatMap(h => attention(t, sizes, h, at, [rows])).flat(), 1e-5, `${k.name}, row ${at}`)
  }
  const { tokensSeen, tokensHeld, rowsReadPerStep, kvBytes } = got.ledgers[1]!
  assert.is(tokensSeen, t.n)
  assert.ok(tokensHeld >= budget && tokensHeld <= budget + 64, `${tokensHeld} rows held`)
  assert.is(rowsReadPerStep, budget)
  assert.is(kvBytes, got.ledgers[0]!.kvBytes)
}))

test.run()
