import { test } from 'uvu'
import { rowTypes, type RowType } from '../../src/kernels/index.ts'
import { groups, headDims, normal } from '../cases.ts'
import { compare } from './harness.ts'

// f32 rounding of scores of size up to about 10; sums over window and group are of size up to window × group.
const tolerance = 2e-5

interface Case { type: RowType; rows: number; window: number; group?: number; headDim?: number; perHead?: boolean; ringRows?: number; seen?: number; split?: number; cap?: number }

/** `seen` tokens were read, of which `rows` are held; the ring holds the queries of the last `ringRows` of them. */
const checkWindow = (what: string, { type, rows, window, group = 3, headDim = 32, perHead = false, ringRows = window, seen = rows, split = 0, cap = 0 }: Case): Promise<void> =>
  compare(`scoreWindow ${type} ${what}`, async b => {
    const kvHeads = 2, heads = kvHeads * group, sets = perHead ? heads : kvHeads, stride = rows + 3
    const segments = await b.segments({ kvHeads, headDim, type, keys: normal(rows * kvHeads * headDim, 5), values: normal(rows * kvHeads * headDim, 6), count: rows, split })
    const ring = b.tensor([ringRows, heads, headDim], 'f32', normal(ringRows * heads * headDim, 7))
    const out = b.tensor([sets, stride], 'f32', new Float32Array(sets * stride).fill(7))
    await b.run({ tokens: 0, position: seen }, () => b.k.scoreWindow({ out, ring, segments, sets, stride, tokens: rows, heads, kvHeads, headDim,
      type: rowTypes[type], ringRows, window, scale: headDim ** -0.5, cap }))
    return { out: { data: await b.k.read(out), tolerance } }
  })

const checkTokens = (what: string, { type, rows, group = 3, headDim = 32, split = 0, cap = 0 }: Omit<Case, 'window'>): Promise<void> =>
  compare(`tokenScore ${type} ${what}`, async b => {
    const kvHeads = 2, heads = kvHeads * group, stride = rows + 3
    const keys = normal(rows * kvHeads * headDim, 8), held = (rows - 1) * kvHeads * headDim
    const segments = await b.segments({ kvHeads, headDim, type, keys: keys.slice(0, held), values: keys.slice(0, held), count: rows - 1, capacity: Math.ceil(rows / 64) * 64, split })
    const last = b.tensor([1, kvHeads, headDim], 'f32', keys.slice(held))
    const query = b.tensor([heads, headDim], 'f32', normal(heads * headDim, 9))
    const out = b.tensor([heads, stride], 'f32', new Float32Array(heads * stride).fill(7))
    await b.run({ tokens: 1, position: rows - 1 }, () => {
      b.k.append({ segments, keys: last, values: last, kvHeads, headDim, type: rowTypes[type] })
      b.k.tokenScore({ out, query, segments, heads, kvHeads, headDim, type: rowTypes[type], stride, scale: headDim ** -0.5, cap })
    })
    return { out: { data: await b.k.read(out), tolerance } }
  })

const types: RowType[] = ['i16', 'f32', 'q8', 'q4', 'q2']

for (const type of types) {
  test(`scoreWindow ${type}: row counts and windows`, async () => {
    for (const rows of [1, 3, 63, 64, 65, 127, 128, 129])
      for (const window of [1, 3, 8, 33]) await checkWindow(`rows ${rows} window ${window}`, { type, rows, window, group: 1 })
    await checkWindow('many rows', { type, rows: 1025, window: 16, group: 1 })
  })

  test(`capped scores, ${type}`, async () => {
    for (const cap of [0.5, 3])
      for (const rows of [3, 65, 130]) {
        await checkWindow(`cap ${cap}, rows ${rows}`, { type, rows, window: 6, cap })
        await checkTokens(`cap ${cap}, rows ${rows}`, { type, rows, cap })
      }
  })

  test(`scoreWindow ${type}: groups and channels, per KV head and per head`, async () => {
    for (const perHead of [false, true]) {
      for (const group of groups) await checkWindow(`group ${group}`, { type, rows: 70, window: 5, group, perHead })
      for (const headDim of headDims) await checkWindow(`headDim ${headDim}`, { type, rows: 66, window: 6, headDim, perHead })
    }
  })

  test(`scoreWindow ${type}: a longer ring, a cut cache, a shared base`, async () => {
    await checkWindow('ring of 20', { type, rows: 90, window: 7, ringRows: 20 })
    await checkWindow('70 rows of 131 tokens', { type, rows: 70, window: 7, ringRows: 20, seen: 131 })
    for (const split of [64, 128]) await checkWindow(`split ${split}`, { type, rows: 150, window: 7, split })
  })

  test(`tokenScore ${type}`, async () => {
    for (const rows of [2, 3, 4, 5, 63, 64, 65, 127, 128, 129]) await checkTokens(`rows ${rows}`, { type, rows })
    for (const group of groups) await checkTokens(`group ${group}`, { type, rows: 70, group })
    for (const headDim of headDims) await checkTokens(`headDim ${headDim}`, { type, rows: 70, headDim })
    for (const split of [64, 128]) await checkTokens(`split ${split}`, { type, rows: 150, split })
  })
}

test.run()
