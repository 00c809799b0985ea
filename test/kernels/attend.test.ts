import { test } from 'uvu'
import { isPacked, rowTypes, partialShape, segmentWords, strideOf, type RowType } from '../../src/kernels/index.ts'
import { groups, headDims, normal } from '../cases.ts'
import { near } from '../near.ts'
import { compare, type Bench, type Outputs } from './harness.ts'

// Values are below 1. f32: rounding of scores of size up to about 10 and of sums over the rows. i16: the reference rounds the
// query to the same codes and integer sums are exact, but weights are rounded to 13 … 15 bits of a tile's largest.
const tolerance = { f32: 1e-5, i16: 1e-4, q8: 1e-4, q4: 1e-4, q2: 1e-4 }
/** Most an i16 element may be off on average over an output. */
const meanTolerance = 2e-5
const valuesOf = (n: number): Float32Array => normal(n, 3).map(v => v / 4)

interface Case { count: number; tokens?: number; group?: number; kvHeads?: number; headDim?: number; type: RowType; split?: number; rows?: number[][]; equal?: boolean; sharp?: number; chunked?: boolean; shorter?: number }

/** Rows before `count` are held, the batch's own are appended; the free rows of the last tile are all NaN, or code −1 where integers. */
async function run(b: Bench, { count, tokens = 1, group = 3, kvHeads = 2, headDim = 64, type, split = 0, rows, equal = false, sharp = 1, chunked = false, shorter = 0 }: Case): Promise<Float32Array> {
  const heads = group * kvHeads
  const keys = equal ? new Float32Array((count + tokens) * kvHeads * headDim).fill(0.5) : normal((count + tokens) * kvHeads * headDim, 2)
  const values = valuesOf((count + tokens) * kvHeads * headDim)
  const query = b.tensor([tokens, heads, headDim], 'f32', normal(tokens * heads * headDim, 4).map(v => v * sharp))
  const out = b.tensor([tokens, heads, headDim], 'f32')
  const held = count * kvHeads * headDim
  const capacity = Math.ceil((count + tokens) / 64) * 64
  const segments = await b.segments({ kvHeads, headDim, type, keys: keys.slice(0, held), values: values.slice(0, held), count, capacity, split })
  spoil(b, segments, kvHeads, headDim, type, count)
  // Head 0 alone holds fewer rows.
  if (shorter) b.k.upload(segments, [count - shorter])
  const k = b.tensor([tokens, kvHeads, headDim], 'f32', keys.slice(held)), v = b.tensor([tokens, kvHeads, headDim], 'f32', values.slice(held))
  const most = Math.max(1, ...(rows ?? []).map(list => list.length))
  const list = rows && b.tensor([rows.length, most], 'u32', rows.flatMap(set => [...set, ...Array<number>(most - set.length).fill(0)]))
  const counts = rows && b.tensor([rows.length], 'u32', rows.map(set => set.length))
  const partials = chunked ? b.tensor(partialShape(count + 1, heads, headDim), 'f32') : null
  await b.run({ tokens, position: count }, () => {
    b.k.append({ segments, keys: k, values: v, kvHeads, headDim, type: rowTypes[type] })
    b.k.attend({ out, query, segments, rows: list ?? null, counts: counts ?? null, sets: rows?.length ?? kvHeads, capacity: most,
      heads, kvHeads, headDim, type: rowTypes[type], scale: headDim ** -0.5, partials })
    if (partials) b.k.mergeChunks({ out, partials, segments, heads, kvHeads, headDim })
  })
  return await b.k.read(out) as Float32Array
}

function spoil(b: Bench, segments: { address: number }, kvHeads: number, headDim: number, type: RowType, count: number): void {
  const words = b.k.view({ shape: [kvHeads, segmentWords], type: 'u32', address: segments.address, bytes: kvHeads * segmentWords * 4 })
  const bytes = strideOf(headDim) * (type === 'i16' ? 2 : 4)
  for (let h = 0; h < kvHeads; h++) {
    const [, split, , , tail, capacity] = words.slice(h * segmentWords, h * segmentWords + segmentWords) as unknown as number[]
    const used = count - split!, free = capacity! - used
    const fill = (address: number, length: number): void => { b.k.view({ shape: [length], type: 'u8', address, bytes: length }).fill(0xff) }
    fill(tail! + used * bytes, free * bytes)
    fill(tail! + (capacity! + used) * bytes, free * bytes)
    if (type === 'i16') for (const first of [0, capacity!]) fill(tail! + 2 * capacity! * bytes + (first + used) * 4, free * 4)
  }
}

const check = (what: string, c: Case): Promise<void> => compare(`attend ${c.type} ${what}`, async (b): Promise<Outputs> => ({ out: { data: await run(b, c), tolerance: tolerance[c.type] } }))

/** Ways that must give the same numbers, bit for bit, on every backend. */
const same = (what: string, ...ways: ((b: Bench) => Promise<Float32Array>)[]): Promise<void> => compare(what, async b => {
  const results: Float32Array[] = []
  for (const way of ways) results.push(await way(b))
  for (const other of results) near(other, results[0]!, 0, what)
  return {}
})

/** The same within what weights are rounded to. */
const close: typeof same = (what, ...ways) => compare(what, async b => {
  const results: Float32Array[] = []
  for (const way of ways) results.push(await way(b))
  for (const other of results) near(other, results[0]!, tolerance.q4, what)
  return {}
})

const types: RowType[] = ['i16', 'f32', 'q8', 'q4', 'q2']
/** Rows of a group cannot be taken back. */
const ragged = (type: RowType, shorter: number): Partial<Case> => isPacked(type) ? {} : { shorter }

for (const type of types) {
  test(`${type}: row counts around every boundary`, async () => {
    for (const rows of [1, 2, 3, 4, 5, 63, 64, 65, 127, 128, 129]) await check(`rows ${rows}`, { type, count: rows - 1 })
    for (const rows of [1023, 1024, 1025]) await check(`rows ${rows}`, { type, count: rows - 1, kvHeads: 1, headDim: 32, group: 2 })
  })

  test(`${type}: groups`, async () => {
    for (const group of groups) {
      await check(`group ${group}`, { type, group, count: 70 })
      await check(`group ${group} tokens 5`, { type, group, count: 62, tokens: 5, headDim: 32 })
    }
  })

  test(`${type}: channels`, async () => {
    for (const headDim of headDims) {
      await check(`headDim ${headDim}`, { type, headDim, count: 70, group: 2 })
      await check(`headDim ${headDim} tokens 3`, { type, headDim, count: 126, tokens: 3, kvHeads: 1 })
    }
  })

  test(`${type}: batches`, async () => {
    for (const tokens of [1, 2, 5, 17, 64, 65])
      for (const count of [0, 1, 63, 100]) await check(`tokens ${tokens} after ${count}`, { type, tokens, count, headDim: 32 })
    await check('a chunk ends in the batch', { type, tokens: 17, count: 1015, kvHeads: 1, headDim: 32 })
  })

  test(`${type}: all scores equal`, async () => {
    for (const count of [1, 64, 130]) await check(`equal, ${count} rows`, { type, count, equal: true })
  })

  test(`${type}: listed rows`, async () => {
    const every = (step: number, end: number): number[] => Array.from({ length: Math.ceil(end / step) }, (_, i) => i * step)
    await check('per KV head', { type, count: 200, rows: [every(3, 201), [0, 5, 200]] })
    await check('per head', { type, count: 200, rows: [every(1, 201), every(2, 201), [7], every(3, 200), every(5, 64), [0, 199, 200]] })
    // Groups meet integer products, rows from many groups f32 ones.
    const alike: typeof same = isPacked(type) ? close : same
    await alike(`${type}: all rows listed are all rows`,
      b => run(b, { type, count: 200 }), b => run(b, { type, count: 200, rows: [every(1, 201), every(1, 201)] }),
      b => run(b, { type, count: 200, rows: Array.from({ length: 6 }, () => every(1, 201)) }))
  })

  test(`${type}: a shared base changes nothing`, async () => {
    for (const split of [64, 128]) {
      await check(`split ${split}`, { type, count: 180, tokens: 3, split })
      await same(`${type} split ${split}`, b => run(b, { type, count: 180, tokens: 3 }), b => run(b, { type, count: 180, tokens: 3, split }))
    }
  })

  test(`${type}: chunks apart, then merged, give the bits of one pass`, async () => {
    // The reference keeps sums in f64, and chunks round them once more.
    const ways = (c: Omit<Case, 'type'>): Promise<void> => compare(`${type} chunks of ${JSON.stringify(c)}`, async b => {
      const whole = await run(b, { type, ...c }), merged = await run(b, { type, ...c, chunked: true })
      near(merged, whole, b.k.name === 'reference' ? 1e-7 : 0, b.k.name)
      return {}
    })
    for (const rows of [1, 65, 1023, 1024, 1025, 2048, 2049]) await ways({ count: rows - 1, headDim: 32, group: 3 })
    await ways({ count: 3100, ...ragged(type, 1500), headDim: 48, group: 2 })
    await ways({ count: 2100, ...ragged(type, 2050), split: 1088, headDim: 24, group: 9 })
    await ways({ count: 1100, kvHeads: 1, headDim: 4, group: 1 })
    await ways({ count: 1500, kvHeads: 1, headDim: 256, group: 4, equal: true })
  })

  test(`${type}: chunks`, async () => {
    for (const rows of [1, 1024, 1025]) await check(`${rows} rows in chunks`, { type, count: rows - 1, headDim: 32, group: 2, chunked: true })
    await check('ragged chunks', { type, count: 2100, ...ragged(type, 1900), headDim: 24, chunked: true })
  })

  test(`${type}: a batch gives the bits of single steps`, async () => {
    for (const { count, tokens, group, headDim, kvHeads } of [
      { count: 0, tokens: 65, group: 3, headDim: 64, kvHeads: 2 }, { count: 1000, tokens: 90, group: 3, headDim: 64, kvHeads: 1 },
      { count: 61, tokens: 17, group: 1, headDim: 128, kvHeads: 2 }, { count: 100, tokens: 30, group: 7, headDim: 80, kvHeads: 1 },
      { count: 50, tokens: 20, group: 2, headDim: 256, kvHeads: 1 }])
      await same(`${type} ${tokens} tokens after ${count}`, b => run(b, { type, count, tokens, group, headDim, kvHeads }), b => steps(b, { type, count, tokens, group, headDim, kvHeads }))
  })
}

test('i16: weights from flat to one row alone are off by little, and by less on average', async () => {
  for (const sharp of [0.1, 1, 2, 4, 8])
    for (const count of [64, 1024]) {
      const outputs: Float32Array[] = []
      await compare(`attend i16 sharpness ${sharp}, ${count} rows`, async b => {
        const data = await run(b, { type: 'i16', count, sharp, kvHeads: 1, group: 8 })
        outputs.push(data)
        return { out: { data, tolerance: tolerance.i16 } }
      })
      const [expected, ...others] = outputs
      for (const out of others) {
        const mean = out.reduce((sum, v, i) => sum + Math.abs(v - expected![i]!), 0) / out.length
        if (!(mean <= meanTolerance)) throw new Error(`attend i16 sharpness ${sharp}, ${count} rows: mean gap is ${mean}, most ${meanTolerance}`)
      }
    }
})

/** What `run` gives, token by token. */
async function steps(b: Bench, { count, tokens, group, headDim, kvHeads, type }: Required<Pick<Case, 'count' | 'tokens' | 'group' | 'headDim' | 'kvHeads' | 'type'>>): Promise<Float32Array> {
  const heads = group * kvHeads, row = kvHeads * headDim
  const keys = normal((count + tokens) * row, 2), values = valuesOf((count + tokens) * row), queries = normal(tokens * heads * headDim, 4)
  const segments = await b.segments({ kvHeads, headDim, type, keys: keys.slice(0, count * row), values: values.slice(0, count * row), count, capacity: Math.ceil((count + tokens) / 64) * 64 })
  const k = b.tensor([1, kvHeads, headDim], 'f32'), v = b.tensor([1, kvHeads, headDim], 'f32')
  const query = b.tensor([1, heads, headDim], 'f32'), out = b.tensor([1, heads, headDim], 'f32')
  const program = b.k.record(() => {
    b.k.append({ segments, keys: k, values: v, kvHeads, headDim, type: rowTypes[type] })
    b.k.attend({ out, query, segments, rows: null, counts: null, sets: kvHeads, capacity: 0, heads, kvHeads, headDim, type: rowTypes[type], scale: headDim ** -0.5, partials: null })
    b.k.advance({ segments, kvHeads })
  })
  const all = new Float32Array(tokens * heads * headDim)
  for (let i = 0; i < tokens; i++) {
    b.k.upload(k, keys.slice((count + i) * row, (count + i + 1) * row))
    b.k.upload(v, values.slice((count + i) * row, (count + i + 1) * row))
    b.k.upload(query, queries.slice(i * heads * headDim, (i + 1) * heads * headDim))
    await b.k.run(program, { tokens: 1, position: count + i })
    all.set(await b.k.read(out) as Float32Array, i * heads * headDim)
  }
  b.k.release(program)
  return all
}

test.run()
