// Bound tiles of 64 pages, as src/kernels/rows.ts draws them.
import { tokens } from './registers'
import { countOf, I16, strideOf } from './segment'

/** Pages of a tile. */
// @ts-ignore: decorator
@inline
export const TILE_PAGES: i32 = 64

/** Live rows: appended rows count from `append` on. */
// @ts-ignore: decorator
@inline
export function liveOf(segment: usize): i32 {
  return countOf(segment) + tokens()
}

/** Pages of so many rows. */
// @ts-ignore: decorator
@inline
export function pagesOf(rows: i32, pageSize: i32): i32 {
  return (rows + pageSize - 1) / pageSize
}

/** Rows of a tile: a page of one token has one bound, others a low and a high. */
// @ts-ignore: decorator
@inline
export function boundRows(headDim: i32, pageSize: i32): i32 {
  return pageSize == 1 ? strideOf(headDim) : 2 * strideOf(headDim)
}

/** Bytes from one row of a tile to the next. */
// @ts-ignore: decorator
@inline
export function boundRowBytes(type: i32): usize {
  return type == I16 ? 128 : 256
}

/** First byte of a tile. */
// @ts-ignore: decorator
@inline
export function tileOf(segment: usize, tile: i32, rows: i32, type: i32): usize {
  const bytes = <usize>rows * boundRowBytes(type) + (type == I16 ? 256 : 0)
  return load<usize>(segment, 24) + <usize>tile * bytes
}

/** The page scales of a tile; i16 only. */
// @ts-ignore: decorator
@inline
export function tileScales(tile: usize, rows: i32): usize {
  return tile + <usize>rows * 128
}
