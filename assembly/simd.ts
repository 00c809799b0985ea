/** a·b + c in two rounded steps: the same everywhere, which a fused step is not. */
// @ts-ignore: decorator
@inline
export function mulAdd(a: v128, b: v128, c: v128): v128 {
  return f32x4.add(f32x4.mul(a, b), c)
}

/**
 * c + four products a lane of signed bytes a and 7-bit ones b: the same integers in both builds. Only integer instructions may
 * branch so, or builds would differ in bits.
 */
// @ts-ignore: decorator
@inline
export function dotBytes(c: v128, a: v128, b: v128): v128 {
  if (ASC_FEATURE_RELAXED_SIMD) return i32x4.relaxed_dot_i8x16_i7x16_add_s(a, b, c)
  const low = i16x8.extmul_low_i8x16_s(a, b), high = i16x8.extmul_high_i8x16_s(a, b)
  const first = i32x4.extadd_pairwise_i16x8_s(low), second = i32x4.extadd_pairwise_i16x8_s(high)
  return i32x4.add(c, i32x4.add(v128.shuffle<i32>(first, second, 0, 2, 4, 6), v128.shuffle<i32>(first, second, 1, 3, 5, 7)))
}

/** The f32 (or any 32 bits) at p in all lanes. */
// @ts-ignore: decorator
@inline
export function splat(p: usize): v128 {
  return v128.load32_splat(p)
}

/** Sum of four f32 lanes, pairwise: (0 + 2) + (1 + 3). */
// @ts-ignore: decorator
@inline
export function sum4(v: v128): f32 {
  v = f32x4.add(v, v128.shuffle<i32>(v, v, 2, 3, 0, 1))
  return f32x4.extract_lane(v, 0) + f32x4.extract_lane(v, 1)
}

/** Largest of four f32 lanes. */
// @ts-ignore: decorator
@inline
export function max4(v: v128): f32 {
  v = f32x4.max(v, v128.shuffle<i32>(v, v, 2, 3, 0, 1))
  return max(f32x4.extract_lane(v, 0), f32x4.extract_lane(v, 1))
}

/** Lane i = sum of the i32 lanes of the i-th argument. */
// @ts-ignore: decorator
@inline
export function sums4i(a: v128, b: v128, c: v128, d: v128): v128 {
  const ab = i32x4.add(v128.shuffle<i32>(a, b, 0, 1, 4, 5), v128.shuffle<i32>(a, b, 2, 3, 6, 7))
  const cd = i32x4.add(v128.shuffle<i32>(c, d, 0, 1, 4, 5), v128.shuffle<i32>(c, d, 2, 3, 6, 7))
  return i32x4.add(v128.shuffle<i32>(ab, cd, 0, 2, 4, 6), v128.shuffle<i32>(ab, cd, 1, 3, 5, 7))
}

/** Lane i = sum of the f32 lanes of the i-th argument, each as sum4 would add them. */
// @ts-ignore: decorator
@inline
export function sums4(a: v128, b: v128, c: v128, d: v128): v128 {
  const ab = f32x4.add(v128.shuffle<i32>(a, b, 0, 1, 4, 5), v128.shuffle<i32>(a, b, 2, 3, 6, 7))
  const cd = f32x4.add(v128.shuffle<i32>(c, d, 0, 1, 4, 5), v128.shuffle<i32>(c, d, 2, 3, 6, 7))
  return f32x4.add(v128.shuffle<i32>(ab, cd, 0, 2, 4, 6), v128.shuffle<i32>(ab, cd, 1, 3, 5, 7))
}

/** a0 b0 a1 b1 a2 b2 a3 b3 of the i16 lanes of a and b. */
// @ts-ignore: decorator
@inline
export function zipLow16(a: v128, b: v128): v128 {
  return v128.shuffle<i16>(a, b, 0, 8, 1, 9, 2, 10, 3, 11)
}

/** a4 b4 a5 b5 a6 b6 a7 b7. */
// @ts-ignore: decorator
@inline
export function zipHigh16(a: v128, b: v128): v128 {
  return v128.shuffle<i16>(a, b, 4, 12, 5, 13, 6, 14, 7, 15)
}

// e^x: x = n·ln 2 + r with |r| ≤ ln 2 / 2, e^r by its Taylor polynomial of degree 7 (remainder below 1e-8 relative), times 2^n.
// ln 2 in two parts (Cody and Waite) so that r keeps its low bits.
const LOG2E: f32 = 1.4426950408889634
const LN2_HIGH: f32 = 0.693145751953125
const LN2_LOW: f32 = 1.428606820309417e-6
/** Below it e^x is 0 here: 2^−126 is the smallest normal f32. */
const EXP_FLOOR: f32 = -87.3

/** 1.5 × 2^23: added to a number below 2^22 it rounds it to a whole one, ties to even, which the low bits then hold. */
export const ROUNDER: f32 = 12582912

/** e^x in four lanes; 0 below −87.3 and for −∞. x ≤ 88. */
// @ts-ignore: decorator
@inline
export function exp4(x: v128): v128 {
  const floor = f32x4.splat(EXP_FLOOR)
  const alive = f32x4.ge(x, floor)
  const y = f32x4.pmax(floor, x)
  const rounded = mulAdd(y, f32x4.splat(LOG2E), f32x4.splat(ROUNDER))
  const n = f32x4.sub(rounded, f32x4.splat(ROUNDER))
  const r = f32x4.sub(f32x4.sub(y, f32x4.mul(n, f32x4.splat(LN2_HIGH))), f32x4.mul(n, f32x4.splat(LN2_LOW)))
  let p = f32x4.splat(1.0 / 5040.0)
  p = mulAdd(p, r, f32x4.splat(1.0 / 720.0))
  p = mulAdd(p, r, f32x4.splat(1.0 / 120.0))
  p = mulAdd(p, r, f32x4.splat(1.0 / 24.0))
  p = mulAdd(p, r, f32x4.splat(1.0 / 6.0))
  p = mulAdd(p, r, f32x4.splat(0.5))
  p = mulAdd(p, r, f32x4.splat(1.0))
  p = mulAdd(p, r, f32x4.splat(1.0))
  const power = i32x4.add(i32x4.shl(rounded, 23), i32x4.splat(127 << 23))
  return v128.and(f32x4.mul(p, power), alive)
}

/** e^x of one number, the same bits as a lane of exp4. */
// @ts-ignore: decorator
@inline
export function exp1(x: f32): f32 {
  return f32x4.extract_lane(exp4(f32x4.splat(x)), 0)
}
