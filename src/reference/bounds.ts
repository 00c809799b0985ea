import { rowTypes, type Words } from '../kernels/operations.ts'
import { strideOf } from '../kernels/rows.ts'
import type { Memory, State } from './memory.ts'
import { packVector, plainRows, rowsOf } from './segment.ts'
import { liveOf, tilesOf, type Tiles } from './tiles.ts'

const { fround } = Math

/** The last code that a bound may need besides the largest value's 4094: rounding outward adds one. */
const boundCode = 4094
const smallestNormal = 2 ** -126

/** Codes of one page's lows and highs, rounded outward. */
function pack(tiles: Tiles, page: number, low: Float32Array, high: Float32Array): void {
  const largest = Math.max(...low.map(Math.abs), ...high.map(Math.abs))
  const scale = largest === 0 ? 0 : Math.max(fround(largest / boundCode), smallestNormal)
  tiles.setScale(page, scale)
  low.forEach((x, c) => {
    let code = scale ? Math.floor(fround(x / scale)) : 0
    if (fround(code * scale) > x) code--
    tiles.write(c, page, code)
  })
  high.forEach((x, c) => {
    let code = scale ? Math.ceil(fround(x / scale)) : 0
    if (fround(code * scale) < x) code++
    tiles.write(low.length + c, page, code)
  })
}

function bounds(m: Memory, a: Words<'bounds'>, state: State): void {
  const stride = strideOf(a.headDim)
  for (let h = 0; h < a.kvHeads; h++) {
    const rows = rowsOf(m, a.segments, h, a.headDim, a.type), tiles = tilesOf(m, a.segments, h, a.headDim, a.type, a.pageSize)
    const live = liveOf(m, a.segments, h, state)
    const stored = (row: number): { codes: ArrayLike<number>; scale: number } => {
      if (a.type !== rowTypes.i16) return a.type === rowTypes.f32 ? { codes: rows.key(row), scale: 1 } : packVector(rows.key(row))
      const { key, keyScale } = plainRows(m, a.segments, h, a.headDim, a.type).place(row)
      return { codes: m.i16.subarray(key / 2, key / 2 + stride), scale: m.f32[keyScale / 4]! }
    }
    for (let page = a.all ? 0 : Math.floor(rows.count / a.pageSize); page * a.pageSize < live; page++) {
      if (a.pageSize === 1) {
        const { codes, scale } = stored(page)
        for (let c = 0; c < stride; c++) tiles.write(c, page, codes[c] ?? 0)
        tiles.setScale(page, scale)
        continue
      }
      const low = new Float32Array(stride), high = new Float32Array(stride)
      low.fill(Infinity, 0, a.headDim)
      high.fill(-Infinity, 0, a.headDim)
      for (let row = page * a.pageSize; row < Math.min(live, (page + 1) * a.pageSize); row++)
        rows.key(row).forEach((x, c) => {
          low[c] = Math.min(low[c]!, x)
          high[c] = Math.max(high[c]!, x)
        })
      if (a.type !== rowTypes.f32) pack(tiles, page, low, high)
      else {
        low.forEach((x, c) => tiles.write(c, page, x))
        high.forEach((x, c) => tiles.write(stride + c, page, x))
      }
    }
  }
}

const family = { bounds }
export { family as bounds }
