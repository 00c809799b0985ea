import { exp4, max4, mulAdd, ROUNDER, sum4 } from './simd'

/** Lanes of `v` that number a row below `rows`, others `otherwise`. row: number of lane 0. */
// @ts-ignore: decorator
@inline
function visible(v: v128, row: i32, rows: i32, otherwise: v128): v128 {
  const lanes = i32x4.add(i32x4.splat(row), i32x4(0, 1, 2, 3))
  return v128.bitselect(v, otherwise, i32x4.lt_s(lanes, i32x4.splat(rows)))
}

/**
 * scores [64] f32 of a tile become e^(score − most) for the first `rows`, 1 … 64, and 0 up to `width`, whatever stood there.
 * Stores most and the sum of what is left.
 */
export function tileSoftmax(scores: usize, rows: i32, width: i32, mostAt: usize, sumAt: usize): void {
  const low = f32x4.splat(-Infinity)
  let top = low
  let i = 0
  for (; i + 4 <= rows; i += 4) top = f32x4.pmax(top, v128.load(scores + (<usize>i << 2)))
  for (; i < width; i += 4) {
    const at = scores + (<usize>i << 2)
    const x = visible(v128.load(at), i, rows, low)
    v128.store(at, x)
    top = f32x4.pmax(top, x)
  }
  const most = max4(top)
  top = f32x4.splat(most)
  let sum = f32x4.splat(0)
  for (i = 0; i < width; i += 4) {
    const at = scores + (<usize>i << 2)
    const x = exp4(f32x4.sub(v128.load(at), top))
    v128.store(at, x)
    sum = f32x4.add(sum, x)
  }
  store<f32>(mostAt, most)
  store<f32>(sumAt, sum4(sum))
}

/** Largest code of a weight. */
// @ts-ignore: decorator
@inline
const WEIGHT_CODE: f32 = 32767
/** Most a tile's codes may add up to: with roundings (½ a row) and values of at most 4095 the products' sum stays below 2^31. */
// @ts-ignore: decorator
@inline
const WEIGHT_CODES: f32 = 524200
/** A step below has no f32 inverse; such a tile weighs nothing. */
// @ts-ignore: decorator
@inline
const SMALLEST_STEP: f32 = 1.1754943508222875e-38

/**
 * codes [64] i16 of weights [64] × scales [64], both f32, for the first `rows`, and 0 up to `width`: weight = code × step, which
 * is returned. The finest step that the largest weight and the sum allow: 15 bits where few rows matter, 13 where all 64 do.
 */
export function codeWeights(weights: usize, scales: usize, codes: usize, rows: i32, width: i32): f32 {
  const zero = f32x4.splat(0)
  let top = zero, all = zero
  let i = 0
  for (; i + 4 <= rows; i += 4) {
    const at = <usize>i << 2
    const x = f32x4.mul(v128.load(weights + at), v128.load(scales + at))
    v128.store(weights + at, x)
    top = f32x4.pmax(top, x)
    all = f32x4.add(all, x)
  }
  for (; i < width; i += 4) {
    const at = <usize>i << 2
    const x = visible(f32x4.mul(v128.load(weights + at), v128.load(scales + at)), i, rows, zero)
    v128.store(weights + at, x)
    top = f32x4.pmax(top, x)
    all = f32x4.add(all, x)
  }
  const step: f32 = max(max4(top) * (<f32>1 / WEIGHT_CODE), sum4(all) * (<f32>1 / WEIGHT_CODES))
  const by = f32x4.splat(step < SMALLEST_STEP ? 0 : <f32>1 / step)
  for (i = 0; i < width; i += 4) {
    const at = <usize>i << 2
    const code = i32x4.sub(mulAdd(v128.load(weights + at), by, f32x4.splat(ROUNDER)), i32x4.splat(reinterpret<i32>(ROUNDER)))
    v128.store64_lane(codes + (at >> 1), i16x8.narrow_i32x4_s(code, code), 0)
  }
  return step
}

/**
 * Four queries at once: maxima and sums of one part join those held so far; keep and take become the factors for the weighted
 * values of what was held and of the part. All [4] f32.
 */
export function merge4(most: usize, sum: usize, partMost: usize, partSum: usize, keep: usize, take: usize): void {
  const held = v128.load(most), part = v128.load(partMost)
  const top = f32x4.max(held, part)
  const k = exp4(f32x4.sub(held, top)), t = exp4(f32x4.sub(part, top))
  v128.store(most, top)
  v128.store(sum, f32x4.add(f32x4.mul(v128.load(sum), k), f32x4.mul(v128.load(partSum), t)))
  v128.store(keep, k)
  v128.store(take, t)
}
