import type { RowType } from './operations.ts'

/**
 * Where the rows of one KV head lie: eight words of a segment table [kvHeads, 8] u32.
 *
 *   0 count · 1 split · 2 base · 3 baseCapacity · 4 tail · 5 tailCapacity · 6 bounds · 7 boundTiles
 *
 * Row r lies in part `base` where r < split, else in part `tail` as its row r − split. split is a multiple of 64, so a
 * tile of 64 rows never straddles; a cache that shares nothing has split 0. A part of capacity c (a multiple of 64) is
 *
 *   i16:  keys i16 [c, stride] | values i16 [c, stride] | key scales f32 [c] | value scales f32 [c] | positions u32 [c]
 *   f32:  keys f32 [c, stride] | values f32 [c, stride] | positions u32 [c]
 *
 * stride is headDim rounded up to 16 channels, padded with zeros. i16 codes lie in [−4095, 4095]: value = code × scale,
 * scale = largest |value| / 4095, code = nearest(value × (4095 / largest)); a row of zeros has scale 0, and one
 * whose largest value is below 2^−116 (where 4095 / largest is no f32) counts as zeros.
 *
 * Bounds are tiles of 64 pages, pages contiguous: f32 [2·stride, 64], or i16 [2·stride, 64] | page scales f32 [64]. Rows
 * 0 … stride − 1 are the lowest keys of the page per channel, the rest the highest, rounded outward. Where a page is one token
 * both are the key itself and a tile has `stride` rows.
 */
export const segmentWords = 8
export const tileRows = 64

/** headDim in whole vectors of 16 channels. */
export const strideOf = (headDim: number): number => (headDim + 15) & ~15

/** Rows in whole tiles. */
export const wholeTiles = (rows: number): number => Math.ceil(rows / tileRows) * tileRows

/** Rows of which attention makes one partial result: CHUNK in assembly/chunks.ts. */
export const chunkRows = 1024

/** Shape of the partial results of one token over as many rows, see `attend`. */
export const partialShape = (rows: number, heads: number, headDim: number): number[] => [Math.ceil(rows / chunkRows), heads, 2 + strideOf(headDim)]

/** Bytes of one held row of one KV head: keys, values, scales, position. */
export function rowBytes(type: RowType, headDim: number): number {
  const stride = strideOf(headDim)
  return type === 'f32' ? 8 * stride + 4 : 4 * stride + 12
}

/** Bytes of the page bounds of `pages` pages of one KV head, in whole tiles. */
export function boundBytes(type: RowType, headDim: number, pageSize: number, pages: number): number {
  const rows = (pageSize === 1 ? 1 : 2) * strideOf(headDim)
  return Math.ceil(pages / tileRows) * tileRows * (type === 'f32' ? 4 * rows : 2 * rows + 4)
}
