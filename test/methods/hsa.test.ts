import { readFileSync } from 'node:fs'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { boundBytes, rowTypes, strideOf, tileRows, wholeTiles, type Tensor } from '../../src/kernels/index.ts'
import { normal } from '../cases.ts'
import { compare, type Bench } from '../kernels/harness.ts'
import { near } from '../near.ts'

// Hybrid sparse attention (RocketKV, arXiv:2502.14051, Algorithm 1), one KV head, f32 rows: each kernel against an independent
// f64 implementation, and against the vectors HSA-1 and HSA-2 of 4 channels.

interface Expected { readonly A: number[]; readonly dims: number[]; readonly useMax: boolean[]; readonly R: number[][]; readonly beta: number[]; readonly u: number[]; readonly J: number[]; readonly out: number[][] }
interface Append { readonly k8: number[]; readonly v8: number[]; readonly q8: number[][]; readonly expected: Expected }
interface Golden {
  readonly name: string; readonly G: number; readonly D: number; readonly n0: number; readonly p: number; readonly r: number; readonly k: number
  readonly K8: number[][]; readonly V8: number[][]; readonly q8: number[][]; readonly expected: Expected
  readonly pageMin8: number[][]; readonly pageMax8: number[][]; readonly appends?: readonly Append[]
}

const { cases } = JSON.parse(readFileSync(new URL('../goldens/rocketkv/hsa.json', import.meta.url), 'utf8')) as { cases: Golden[] }
const eighths = (rows: readonly (readonly number[])[]): Float32Array => Float32Array.from(rows.flat(), x => x / 8)

interface Setup { readonly heads: number; readonly headDim: number; readonly pageSize: number; readonly count: number; readonly tokens: number; readonly stride: number }

/** A cache of all rows [rows, headDim] but the last, and a decode step: it appends a row and chooses among all. */
async function cache(b: Bench, setup: Setup, keys: Float32Array, values: Float32Array, room = 0) {
  const { heads, headDim, pageSize, count, tokens, stride } = setup, kvHeads = 1, type = rowTypes.f32, capacity = tokens
  const held = keys.length / headDim - 1, end = held * headDim
  const segments = await b.segments({ kvHeads, headDim, type: 'f32', keys: keys.subarray(0, end), values: values.subarray(0, end), count: held, capacity: wholeTiles(held + 1 + room), pageSize })
  await b.run({ tokens: 0, position: 0 }, () => b.k.bounds({ segments, kvHeads, headDim, type, pageSize, all: 1 }))
  const channels = b.tensor([1, count], 'u32'), temperature = b.tensor([heads], 'f32')
  const scores = b.tensor([heads, stride], 'f32'), weights = b.tensor([1, stride], 'f32')
  const rows = b.tensor([1, capacity], 'u32'), counts = b.tensor([1], 'u32'), out = b.tensor([1, heads, headDim], 'f32')
  let position = held
  async function step(query: Float32Array, key = keys.subarray(end), value = values.subarray(end)) {
    const q = b.tensor([1, heads, headDim], 'f32', query), k = b.tensor([1, 1, headDim], 'f32', key), v = b.tensor([1, 1, headDim], 'f32', value)
    await b.run({ tokens: 1, position: position++ }, () => {
      b.k.append({ segments, keys: k, values: v, kvHeads, headDim, type })
      b.k.bounds({ segments, kvHeads, headDim, type, pageSize, all: 0 })
      b.k.chooseChannels({ channels, temperature, query: q, heads, kvHeads, headDim, count, pageSize })
      b.k.pageScore({ out: scores, query: q, channels, segments, heads, kvHeads, headDim, type, count, pageSize, stride })
      b.k.pageWeights({ out: weights, scores, temperature, segments, heads, kvHeads, pageSize, stride })
      b.k.topPages({ rows, counts, weights, segments, sets: 1, kvHeads, pageSize, stride, tokens, first: 0, last: 0, newest: 0, capacity })
      b.k.attend({ out, query: q, segments, rows, counts, sets: 1, capacity, heads, kvHeads, headDim, type, scale: headDim ** -0.5, partials: null })
      b.k.advance({ segments, kvHeads })
    })
    const n = (await b.k.read(counts))[0]!
    return {
      channels: [...await b.k.read(channels)], temperature: [...await b.k.read(temperature)],
      scores: await b.k.read(scores), weights: await b.k.read(weights), rows: [...await b.k.read(rows, 0, n)],
      out: [...await b.k.read(out)],
    }
  }
  return { segments, step }
}

type Step = Awaited<ReturnType<Awaited<ReturnType<typeof cache>>['step']>>

/** Positions exactly, numbers within 1e-5. */
function check(where: string, got: Step, e: Expected, { headDim, pageSize, stride }: Setup): void {
  assert.equal(got.channels, e.dims.map(c => pageSize > 1 && e.useMax[c] ? strideOf(headDim) + c : c), `${where}: channels`)
  near(got.temperature, e.beta, 1e-5, `${where}: temperature`)
  e.R.forEach((row, g) => near(got.scores.subarray(g * stride, g * stride + row.length), row, 1e-5, `${where}: scores of head ${g}`))
  near(e.u.map((_, row) => got.weights[Math.floor(row / pageSize)]!), e.u, 1e-5, `${where}: weights`)
  assert.equal(got.rows, [...e.J].sort((i, j) => i - j), `${where}: rows`)
  near(got.out, e.out.flat(), 1e-5, `${where}: out`)
}

/** Lows and highs in the tiles, in eighths [pages, headDim]. */
async function checkBounds(b: Bench, segments: Tensor, { D, p }: Golden, lows: number[][], highs: number[][]): Promise<void> {
  const rows = (p === 1 ? 1 : 2) * strideOf(D)
  const address = (await b.k.read(segments, 6, 1))[0]!, bytes = boundBytes('f32', D, p, lows.length)
  const tiles = await b.k.read({ shape: [bytes / 4], type: 'f32', address, bytes })
  const bound = (row: number, page: number): number => 8 * tiles[(Math.floor(page / tileRows) * rows + row) * tileRows + page % tileRows]!
  lows.forEach((low, page) => low.forEach((x, c) => assert.is(bound(c, page), x)))
  highs.forEach((high, page) => high.forEach((x, c) => assert.is(bound(p === 1 ? c : strideOf(D) + c, page), x)))
}

for (const g of cases)
  test(g.name, async () => {
    await compare(g.name, async b => {
      const setup = { heads: g.G, headDim: g.D, pageSize: g.p, count: g.r, tokens: g.k, stride: 96 }
      const { segments, step } = await cache(b, setup, eighths(g.K8), eighths(g.V8), g.appends?.length)
      check(`${g.name} on ${b.k.name}`, await step(eighths(g.q8)), g.expected, setup)
      // Published for the rows before the appended ones.
      await checkBounds(b, segments, g, g.pageMin8, g.pageMax8)
      for (const [i, { k8, v8, q8, expected }] of (g.appends ?? []).entries())
        check(`${g.name} on ${b.k.name}, append ${i}`, await step(eighths(q8), eighths([k8]), eighths([v8])), expected, setup)
      const rows = [...g.K8, ...(g.appends ?? []).map(({ k8 }) => k8)]
      const pages = Array.from({ length: Math.ceil(rows.length / g.p) }, (_, page) => rows.slice(page * g.p, (page + 1) * g.p))
      const extreme = (of: (...x: number[]) => number): number[][] => pages.map(page => page[0]!.map((_, c) => of(...page.map(row => row[c]!))))
      await checkBounds(b, segments, g, extreme(Math.min), extreme(Math.max))
      return {}
    })
  })

const keys = [1, 0, 0, 1, 0, 1, 0, -1, 2, -1, 1, 0, 0, 0, 0, 2, -1, 2, 1, 1, 1, 1, -1, 0, 0.5, -2, 0, 1]
const values = Array.from({ length: 7 }, (_, i) => [i + 1, -(i + 1) / 2, 0.25 * i, 1]).flat()
const published = [
  { name: 'HSA-1', query: [2, -1, 0.5, 0, 1, 1, -0.5, 3], pageSize: 2, count: 2, channels: [16, 19], R: [[2, 4, 2, 1], [4, 8, 4, 3.5]],
    beta: [1.511857892, 1.705605731], u: [0.061100175, 0.061100175, 0.359789806, 0.359789806, 0.061100175, 0.061100175, 0.036019688], rows: [0, 2, 3],
    out: [2.770849469, -1.385424735, 0.442712367, 1, 3.184550754, -1.592275377, 0.546137689, 1] },
  { name: 'HSA-2', query: [-2, 1, 0.25, 0.5, -1, -0.5, 2, 0.25], pageSize: 2, count: 2, channels: [0, 18], R: [[0, 0.25, 2.25, -1], [0, 2, 3, -0.5]],
    beta: [1.549193338, 1.788854382], u: [0.062799723, 0.062799723, 0.121916791, 0.121916791, 0.295857277, 0.295857277, 0.038852418], rows: [2, 4, 5],
    out: [5.030690182, -2.515345091, 1.007672545, 1, 4.472395695, -2.236197847, 0.868098924, 1] },
  { name: 'HSA-2, every channel, pages of one', query: [-2, 1, 0.25, 0.5, -1, -0.5, 2, 0.25], pageSize: 1, count: 4, channels: [0, 1, 2, 3], R: [],
    beta: [2, 2], u: [0.055391774, 0.082319777, 0.077293192, 0.128906103, 0.534695075, 0.027800968, 0.093593111], rows: [3, 4, 6],
    out: [4.915206417, -2.457603209, 0.978801604, 1, 5.279410916, -2.639705458, 1.069852729, 1] },
]

for (const { name, query, pageSize, count, channels, R, beta, u, rows, out } of published)
  test(name, async () => {
    await compare(name, async b => {
      const headDim = 4, stride = 8, setup = { heads: 2, headDim, pageSize, count, tokens: 3, stride }
      const { step } = await cache(b, setup, Float32Array.from(keys), Float32Array.from(values))
      const got = await step(Float32Array.from(query))
      assert.equal(got.channels, channels)
      near(got.temperature, beta, 1e-6, 'temperature')
      R.forEach((row, g) => assert.equal([...got.scores.subarray(g * stride, g * stride + row.length)], row))
      near(u.map((_, row) => got.weights[Math.floor(row / pageSize)]!), u, 1e-6, 'weights')
      assert.equal(got.rows, rows)
      near(got.out, out, 1e-6, 'out')
      return {}
    })
  })

const group = 3, headDim = 16, live = 63

/** Rows chosen from seeded keys, which may be changed before. */
async function chosen(b: Bench, { pageSize = 3, count = 8, tokens = 12, factor = 1, order = [...Array(live).keys()], heads = group }): Promise<Step> {
  const given = normal(live * headDim, 11)
  const keys = Float32Array.from(order.flatMap(row => [...given.subarray(row * headDim, (row + 1) * headDim)]))
  const { step } = await cache(b, { heads, headDim, pageSize, count, tokens, stride: 64 }, keys, keys)
  return step(normal(heads * headDim, 12).map(x => x * factor))
}

test('as many tokens as rows: every row, for any pages and channels', async () => {
  await compare('k ≥ n', async b => {
    for (const pageSize of [1, 2, 3, 4, 64])
      for (const count of [1, 7, 16])
        for (const tokens of [live, live + 5])
          assert.equal((await chosen(b, { pageSize, count, tokens })).rows, [...Array(live).keys()])
    return {}
  })
})

test('every channel, pages of one, one head: the rows with the largest products', async () => {
  await compare('exact top-k', async b => {
    const keys = normal(live * headDim, 11), query = normal(headDim, 12)
    const dots = Array.from({ length: live }, (_, row) => query.reduce((sum, x, c) => sum + x * keys[row * headDim + c]!, 0))
    const best = [...dots.keys()].sort((i, j) => dots[j]! - dots[i]!).slice(0, 12).sort((i, j) => i - j)
    const { rows, temperature, scores } = await chosen(b, { pageSize: 1, count: headDim, heads: 1 })
    assert.equal(temperature, [4])
    near(scores.subarray(0, live), dots, 1e-5, 'scores')
    assert.equal(rows, best)
    return {}
  })
})

test('moving rows inside their pages changes no score', async () => {
  await compare('permutation', async b => {
    for (const pageSize of [2, 3, 7]) {
      const order = Array.from({ length: live }, (_, row) => {
        const first = row - row % pageSize, size = Math.min(pageSize, live - first)
        return first + (row - first + 1) % size
      })
      const plain = await chosen(b, { pageSize }), moved = await chosen(b, { pageSize, order })
      assert.equal([...moved.scores.subarray(0, group * 64)], [...plain.scores.subarray(0, group * 64)])
      assert.equal(moved.temperature, plain.temperature)
      assert.equal(moved.rows, plain.rows)
    }
    return {}
  })
})

test('a longer query chooses the same channels, and for one head the same rows', async () => {
  await compare('scale', async b => {
    for (const factor of [0.25, 4, 1024]) {
      assert.equal((await chosen(b, { factor })).channels, (await chosen(b, {})).channels)
      const one = { pageSize: 1, count: headDim, heads: 1 }
      // Ranks survive the softmax as long as no weight underflows.
      if (factor < 10) assert.equal((await chosen(b, { ...one, factor })).rows, (await chosen(b, one)).rows)
    }
    return {}
  })
})

test('more tokens never lose a row', async () => {
  await compare('monotone', async b => {
    for (const pageSize of [1, 2, 3, 4]) {
      let before: number[] = []
      for (let tokens = 1; tokens <= live; tokens++) {
        const { rows } = await chosen(b, { pageSize, tokens })
        assert.is(rows.length, tokens)
        assert.ok(before.every(row => rows.includes(row)), `${tokens} tokens in pages of ${pageSize}`)
        before = rows
      }
    }
    return {}
  })
})

test.run()
