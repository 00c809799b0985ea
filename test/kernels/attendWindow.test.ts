import { test } from 'uvu'
import { rowTypes, strideOf, partialShape } from '../../src/kernels/index.ts'
import { normal } from '../cases.ts'
import { near } from '../near.ts'
import { compare, type Bench } from './harness.ts'

// Attention with a sliding window and with a soft cap. Tolerances as in attend.test.ts; a cap of 2 adds 2e-7 a score.
const tolerance = { f32: 1e-5, i16: 1e-4 }
const types = ['i16', 'f32'] as const

interface Case {
  readonly type: typeof types[number]
  /** Rows before the batch, and the first `dropped` of them that are gone. */
  readonly count: number
  readonly tokens?: number
  readonly window?: number
  readonly cap?: number
  readonly dropped?: number
  readonly group?: number
  readonly headDim?: number
  /** Batches of so many tokens. */
  readonly each?: number
  readonly chunked?: boolean
}

/** out [tokens, heads, headDim] of a text of count + tokens rows, the same whatever part of it is dropped and however it is cut in batches. */
async function run(b: Bench, { type, count, tokens = 1, window = 0, cap = 0, dropped = 0, group = 3, headDim = 32, each = tokens, chunked = false }: Case): Promise<Float32Array> {
  const kvHeads = 2, heads = group * kvHeads, row = kvHeads * headDim
  const keys = normal((count + tokens) * row, 2), values = normal((count + tokens) * row, 3).map(v => v / 4), queries = normal(tokens * heads * headDim, 4).map(v => 2 * v)
  const segments = await b.segments({ kvHeads, headDim, type, keys: keys.slice(dropped * row, count * row), values: values.slice(dropped * row, count * row),
    count: count - dropped, capacity: Math.ceil((count + tokens - dropped) / 64) * 64 })
  const all = new Float32Array(tokens * heads * headDim)
  for (let first = 0; first < tokens; first += each) {
    const n = Math.min(each, tokens - first), from = count + first
    const k = b.tensor([n, kvHeads, headDim], 'f32', keys.slice(from * row, (from + n) * row)), v = b.tensor([n, kvHeads, headDim], 'f32', values.slice(from * row, (from + n) * row))
    const query = b.tensor([n, heads, headDim], 'f32', queries.slice(first * heads * headDim, (first + n) * heads * headDim)), out = b.tensor([n, heads, headDim], 'f32')
    const partials = chunked ? b.tensor(partialShape(from + 1, heads, headDim), 'f32', new Float32Array(Math.ceil((from + 1) / 1024) * heads * (2 + strideOf(headDim)))) : null
    await b.run({ tokens: n, position: from }, () => {
      b.k.append({ segments, keys: k, values: v, kvHeads, headDim, type: rowTypes[type] })
      b.k.attend({ out, query, segments, rows: null, counts: null, sets: kvHeads, capacity: 0, heads, kvHeads, headDim, type: rowTypes[type], scale: headDim ** -0.5, partials,
        cap, window, before: dropped })
      if (partials) b.k.mergeChunks({ out, partials, segments, heads, kvHeads, headDim })
      b.k.advance({ segments, kvHeads })
    })
    all.set(await b.k.read(out) as Float32Array, first * heads * headDim)
  }
  return all
}

const check = (c: Case): Promise<void> => compare(JSON.stringify(c), async b => ({ out: { data: await run(b, c), tolerance: tolerance[c.type] } }))

/** The same numbers, bit for bit, on every backend but the reference, which sums in another way. */
const same = (...cases: Case[]): Promise<void> => compare(JSON.stringify(cases), async b => {
  const [first, ...others] = await Promise.all(cases.map(c => run(b, c)))
  if (b.k.name !== 'reference') for (const [i, other] of others.entries()) near(other, first!, 0, JSON.stringify(cases[i + 1]))
  return {}
})

for (const type of types) {
  test(`${type}: windows around every boundary`, async () => {
    for (const window of [1, 2, 5, 63, 64, 65, 128])
      for (const count of [0, 1, 62, 63, 64, 130]) await check({ type, window, count })
    for (const tokens of [2, 17, 65, 130])
      for (const window of [1, 24, 64, 100]) await check({ type, window, tokens, count: 70 })
    for (const count of [1020, 1030, 1100]) await check({ type, window: 40, count, tokens: 9, group: 1 })
  })

  test(`${type}: groups and channels`, async () => {
    for (const group of [1, 2, 4, 7, 8]) await check({ type, window: 20, count: 100, tokens: 5, group })
    for (const headDim of [2, 8, 80, 128, 256]) await check({ type, window: 20, count: 100, tokens: 3, headDim, group: 1 })
  })

  test(`${type}: a window as long as the text is none`, async () => {
    for (const [count, tokens] of [[0, 65], [130, 1], [1000, 70]] as const)
      await same({ type, count, tokens, group: 2 }, { type, count, tokens, group: 2, window: count + tokens }, { type, count, tokens, group: 2, window: 5000 })
  })

  test(`${type}: a batch gives the bits of single steps, and rows that are gone change nothing`, async () => {
    for (const [count, tokens, window] of [[0, 70, 24], [130, 40, 24], [200, 20, 64], [1000, 60, 30], [1150, 20, 200]] as const) {
      const gone = Math.floor(Math.max(0, count + 1 - window) / 64) * 64
      await same({ type, count, tokens, window }, { type, count, tokens, window, each: 1 }, { type, count, tokens, window, each: 7 },
        { type, count, tokens, window, dropped: gone }, { type, count, tokens, window, dropped: gone, each: 1 }, { type, count, tokens, window, dropped: Math.max(0, gone - 64) })
    }
  })

  test(`${type}: capped scores`, async () => {
    for (const cap of [0.5, 2, 50])
      for (const [count, tokens] of [[0, 1], [70, 1], [64, 17], [1030, 3]] as const) await check({ type, cap, count, tokens, group: 2 })
    await check({ type, cap: 2, window: 30, count: 100, tokens: 5 })
    await same({ type, cap: 2, count: 1100 }, { type, cap: 2, count: 1100, chunked: true })
    await check({ type, cap: 2, count: 1100, chunked: true })
  })
}

test.run()
