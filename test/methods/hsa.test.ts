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

/** Buffers of one decode step and the step itself. */
function stepper(b: Bench, segments: Tensor, { heads, headDim, pageSize, count, tokens, stride }: Setup) {
  const kvHeads = 1, type = rowTypes.f32, capacity = tokens
  const channels = b.tensor([1, count], 'u32'), temperature = b.tensor([heads], 'f32')
  const scores = b.tensor([heads, stride], 'f32'), weights = b.tensor([1, stride], 'f32')
  const rows = b.tensor([1, capacity], 'u32'), counts = b.tensor([1], 'u32')
  return async (query: Float32Array, live: number, added?: { key: Float32Array; value: Float32Array }) => {
    const q = b.tensor([heads, headDim], 'f32', query)
    const keys = added && b.tensor([1, 1, headDim], 'f32', added.key), values = added && b.tensor([1, 1, headDim], 'f32', added.value)
    await b.run({ tokens: added ? 1 : 0, position: live }, () => {
      if (keys && values) b.k.append({ segments, keys, values, kvHeads, headDim, type })
      b.k.bounds({ segments, kvHeads, headDim, type, pageSize, all: added ? 0 : 1 })
      b.k.chooseChannels({ channels, temperature, query: q, heads, kvHeads, headDim, count, pageSize })
      b.k.pageScore({ out: scores, query: q, channels, segments, heads, kvHeads, headDim, type, count, pageSize, stride })
      b.k.pageWeights({ out: weights, scores, temperature, segments, heads, kvHeads, pageSize, stride })
      b.k.topPages({ rows, counts, weights, segments, sets: 1, kvHeads, pageSize, stride, tokens, first: 0, last: 0, newest: 0, capacity })
      b.k.advance({ segments, kvHeads })
    })
    const n = (await b.k.read(counts))[0]!
    return {
      channels: [...await b.k.read(channels)], temperature: [...await b.k.read(temperature)],
      scores: await b.k.read(scores), weights: await b.k.read(weights), rows: [...await b.k.read(rows, 0, n)],
    }
  }
}

type Step = Awaited<ReturnType<ReturnType<typeof stepper>>>

/** Positions exactly, numbers within 1e-5. */
function check(where: string, got: Step, e: Expected, { headDim, pageSize, stride }: Setup): void {
  assert.equal(got.channels, e.dims.map(c => pageSize > 1 && e.useMax[c] ? strideOf(headDim) + c : c), `${where}: channels`)
  near(got.temperature, e.beta, 1e-5, `${where}: temperature`)
  e.R.forEach((row, g) => near(got.scores.subarray(g * stride, g * stride + row.length), row, 1e-5, `${where}: scores of head ${g}`))
  near(e.u.map((_, row) => got.weights[Math.floor(row / pageSize)]!), e.u, 1e-5, `${where}: weights`)
  assert.equal(got.rows, [...e.J].sort((i, j) => i - j), `${where}: rows`)
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
      const live = g.n0 + (g.appends?.length ?? 0), capacity = wholeTiles(live)
      const setup = { heads: g.G, headDim: g.D, pageSize: g.p, count: g.r, tokens: g.k, stride: Math.ceil(capacity / g.p) }
      const segments = await b.segments({ kvHeads: 1, headDim: g.D, type: 'f32', keys: eighths(g.K8), values: eighths(g.V8), count: g.n0, capacity, pageSize: g.p })
      const step = stepper(b, segments, setup)
      check(`${g.name} on ${b.k.name}`, await step(eighths(g.q8), g.n0), g.expected, setup)
      // Published for the rows before the appended ones.
      await checkBounds(b, segments, g, g.pageMin8, g.pageMax8)
      for (const [i, { k8, v8, q8, expected }] of (g.appends ?? []).entries())
        check(`${g.name} on ${b.k.name}, append ${i}`,
          await step(eighths(q8), g.n0 + i, { key: eighths([k8]), value: eighths([v8]) }), expected, setup)
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
    beta: [1.511857892, 1.705605731], u: [0.061100175, 0.061100175, 0.359789806, 0.359789806, 0.061100175, 0.061100175, 0.036019688], rows: [0, 2, 3] },
  { name: 'HSA-2', query: [-2, 1, 0.25, 0.5, -1, -0.5, 2, 0.25], pageSize: 2, count: 2, channels: [0, 18], R: [[0, 0.25, 2.25, -1], [0, 2, 3, -0.5]],
    beta: [1.549193338, 1.788854382], u: [0.062799723, 0.062799723, 0.121916791, 0.121916791, 0.295857277, 0.295857277, 0.038852418], rows: [2, 4, 5] },
  { name: 'HSA-2, every channel, pages of one', query: [-2, 1, 0.25, 0.5, -1, -0.5, 2, 0.25], pageSize: 1, count: 4, channels: [0, 1, 2, 3], R: [],
    beta: [2, 2], u: [0.055391774, 0.082319777, 0.077293192, 0.128906103, 0.534695075, 0.027800968, 0.093593111], rows: [3, 4, 6] },
]

for (const { name, query, pageSize, count, channels, R, beta, u, rows } of published)
  test(name, async () => {
    await compare(name, async b => {
      const headDim = 4, stride = 8, setup = { heads: 2, headDim, pageSize, count, tokens: 3, stride }
      const segments = await b.segments({ kvHeads: 1, headDim, type: 'f32', keys: Float32Array.from(keys), values: Float32Array.from(values), count: 7, pageSize })
      const got = await stepper(b, segments, setup)(Float32Array.from(query), 7)
      assert.equal(got.channels, channels)
      near(got.temperature, beta, 1e-6, 'temperature')
      R.forEach((row, g) => assert.equal([...got.scores.subarray(g * stride, g * stride + row.length)], row))
      near(u.map((_, row) => got.weights[Math.floor(row / pageSize)]!), u, 1e-6, 'weights')
      assert.equal(got.rows, rows)
      return {}
    })
  })

const group = 3, headDim = 16, live = 63

/** Rows chosen from seeded keys, which may be changed before. */
async function chosen(b: Bench, { pageSize = 3, count = 8, tokens = 12, factor = 1, order = [...Array(live).keys()], heads = group }): Promise<Step> {
  const given = normal(live * headDim, 11)
  const keys = Float32Array.from(order.flatMap(row => [...given.subarray(row * headDim, (row + 1) * headDim)]))
  const segments = await b.segments({ kvHeads: 1, headDim, type: 'f32', keys, values: keys, count: live, pageSize })
  const query = normal(heads * headDim, 12).map(x => x * factor)
  return stepper(b, segments, { heads, headDim, pageSize, count, tokens, stride: 64 })(query, live)
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
