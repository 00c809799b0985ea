// Segments and rows as src/kernels/rows.ts draws them.

/** Bytes of one KV head's words in a segment table. */
// @ts-ignore: decorator
@inline
export const SEGMENT_BYTES: usize = 32

/** Row types. */
// @ts-ignore: decorator
@inline
export const F32: i32 = 0
// @ts-ignore: decorator
@inline
export const I16: i32 = 1
// @ts-ignore: decorator
@inline
export const Q8: i32 = 2
// @ts-ignore: decorator
@inline
export const Q4: i32 = 3
// @ts-ignore: decorator
@inline
export const Q2: i32 = 4

/** The type of rows in the tail, where those appended go: packed rows are made of f32 ones. */
// @ts-ignore: decorator
@inline
export function tailType(type: i32): i32 {
  return type >= Q8 ? F32 : type
}

/** The type of page bounds. */
// @ts-ignore: decorator
@inline
export function boundType(type: i32): i32 {
  return type == F32 ? F32 : I16
}

/** Largest code of a cache row or a query. */
// @ts-ignore: decorator
@inline
export const ROW_CODE: f32 = 4095

/** 2^−116: below it 4095 / largest is no f32, and a row counts as zeros. */
// @ts-ignore: decorator
@inline
const SMALLEST_ROW: f32 = 1.2037062152420224e-35

/** headDim in whole vectors of 16 channels. */
// @ts-ignore: decorator
@inline
export function strideOf(headDim: i32): i32 {
  return (headDim + 15) & ~15
}

/** The words of KV head h. */
// @ts-ignore: decorator
@inline
export function segmentOf(segments: usize, head: i32): usize {
  return segments + <usize>head * SEGMENT_BYTES
}

// @ts-ignore: decorator
@inline
export function countOf(segment: usize): i32 {
  return load<i32>(segment)
}

/** First byte of the part that holds a row. */
// @ts-ignore: decorator
@inline
export function partOf(segment: usize, row: i32): usize {
  return row < load<i32>(segment, 4) ? load<usize>(segment, 8) : load<usize>(segment, 16)
}

// @ts-ignore: decorator
@inline
export function capacityOf(segment: usize, row: i32): usize {
  return row < load<i32>(segment, 4) ? load<usize>(segment, 12) : load<usize>(segment, 20)
}

/** The row's number within its part. */
// @ts-ignore: decorator
@inline
export function rowInPart(segment: usize, row: i32): usize {
  const split = load<i32>(segment, 4)
  return <usize>(row < split ? row : row - split)
}

/** Bytes of one key (or one value) of a row. */
// @ts-ignore: decorator
@inline
export function vectorBytes(type: i32, headDim: i32): usize {
  return <usize>strideOf(headDim) << (type == I16 ? 1 : 2)
}

/** First byte of a row's key; the next rows of its part follow. */
// @ts-ignore: decorator
@inline
export function keyOf(segment: usize, row: i32, type: i32, headDim: i32): usize {
  return partOf(segment, row) + rowInPart(segment, row) * vectorBytes(type, headDim)
}

// @ts-ignore: decorator
@inline
export function valueOf(segment: usize, row: i32, type: i32, headDim: i32): usize {
  return partOf(segment, row) + (capacityOf(segment, row) + rowInPart(segment, row)) * vectorBytes(type, headDim)
}

/** A row's key scale; the scales of the next rows follow. i16 rows only. */
// @ts-ignore: decorator
@inline
export function keyScaleOf(segment: usize, row: i32, type: i32, headDim: i32): usize {
  return partOf(segment, row) + 2 * capacityOf(segment, row) * vectorBytes(type, headDim) + (rowInPart(segment, row) << 2)
}

// @ts-ignore: decorator
@inline
export function valueScaleOf(segment: usize, row: i32, type: i32, headDim: i32): usize {
  return keyScaleOf(segment, row, type, headDim) + (capacityOf(segment, row) << 2)
}

// @ts-ignore: decorator
@inline
export function positionOf(segment: usize, row: i32, type: i32, headDim: i32): usize {
  return keyScaleOf(segment, row, type, headDim) + (type == I16 ? capacityOf(segment, row) << 3 : 0)
}

/**
 * Codes of n f32 in [−4095, 4095], padded with zeros to `stride`, and their scale, which is returned: largest / 4095.
 * x: any alignment; codes: stride i16.
 */
export function packRow(x: usize, codes: usize, n: i32, stride: i32): f32 {
  return packCodes(x, codes, n, stride, ROW_CODE, SMALLEST_ROW)
}

/** The same up to another largest code; numbers that are all below `smallest`, where largestCode / largest is no f32, count as zeros. */
export function packCodes(x: usize, codes: usize, n: i32, stride: i32, largestCode: f32, smallest: f32): f32 {
  let top = f32x4.splat(0)
  let i = 0
  for (; i + 4 <= n; i += 4) top = f32x4.max(top, f32x4.abs(v128.load(x + (<usize>i << 2))))
  let largest = max(max(f32x4.extract_lane(top, 0), f32x4.extract_lane(top, 1)), max(f32x4.extract_lane(top, 2), f32x4.extract_lane(top, 3)))
  for (; i < n; i++) largest = max(largest, abs(load<f32>(x + (<usize>i << 2))))
  if (largest < smallest) {
    memory.fill(codes, 0, <usize>stride << 1)
    return 0
  }
  const inverse: f32 = largestCode / largest
  const by = f32x4.splat(inverse)
  i = 0
  for (; i + 8 <= n; i += 8, x += 32, codes += 16) {
    const low = i32x4.trunc_sat_f32x4_s(f32x4.nearest(f32x4.mul(v128.load(x), by)))
    const high = i32x4.trunc_sat_f32x4_s(f32x4.nearest(f32x4.mul(v128.load(x, 16), by)))
    v128.store(codes, i16x8.narrow_i32x4_s(low, high))
  }
  for (; i < n; i++, x += 4, codes += 2) store<i16>(codes, <i16>nearest<f32>(load<f32>(x) * inverse))
  for (; i < stride; i++, codes += 2) store<i16>(codes, 0)
  return largest / largestCode
}
