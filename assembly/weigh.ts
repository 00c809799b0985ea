import { mulAdd } from './simd'

// Weighted sums of a tile's values for up to four queries, merged at once into what the queries' chunks hold:
// o = o × keep + (Σ weight × value) × take. Rows are added in ascending order, each channel on its own.

/** o [n, bytes] f32; weights [n, 64] f32; values [rows, bytes] f32; keep, take [n] f32. n is 1 … 4. */
export function weighF32(o: usize, weights: usize, keep: usize, take: usize, n: i32, values: usize, rows: i32, bytes: usize): void {
  switch (n) {
    case 1: sumsF32(1, o, weights, keep, take, values, rows, bytes); break
    case 2: sumsF32(2, o, weights, keep, take, values, rows, bytes); break
    case 3: sumsF32(3, o, weights, keep, take, values, rows, bytes); break
    default: sumsF32(4, o, weights, keep, take, values, rows, bytes)
  }
}

// @ts-ignore: decorator
@inline
function sumsF32(n: i32, o: usize, weights: usize, keep: usize, take: usize, values: usize, rows: i32, bytes: usize): void {
  const zero = f32x4.splat(0)
  for (let c: usize = 0; c < bytes; c += 32) {
    let a0 = zero, a1 = zero, b0 = zero, b1 = zero, c0 = zero, c1 = zero, d0 = zero, d1 = zero
    let v = values + c, w = weights
    for (let i = 0; i < rows; i++, v += bytes, w += 4) {
      const x = v128.load(v), y = v128.load(v, 16)
      let t = v128.load32_splat(w); a0 = mulAdd(x, t, a0); a1 = mulAdd(y, t, a1)
      if (n > 1) { t = v128.load32_splat(w, 256); b0 = mulAdd(x, t, b0); b1 = mulAdd(y, t, b1) }
      if (n > 2) { t = v128.load32_splat(w, 512); c0 = mulAdd(x, t, c0); c1 = mulAdd(y, t, c1) }
      if (n > 3) { t = v128.load32_splat(w, 768); d0 = mulAdd(x, t, d0); d1 = mulAdd(y, t, d1) }
    }
    mergeAt(o + c, a0, a1, keep, take)
    if (n > 1) mergeAt(o + bytes + c, b0, b1, keep + 4, take + 4)
    if (n > 2) mergeAt(o + 2 * bytes + c, c0, c1, keep + 8, take + 8)
    if (n > 3) mergeAt(o + 3 * bytes + c, d0, d1, keep + 12, take + 12)
  }
}

/** Eight channels of o × keep + sums × take. */
// @ts-ignore: decorator
@inline
export function mergeAt(o: usize, a: v128, b: v128, keep: usize, take: usize): void {
  const k = v128.load32_splat(keep), t = v128.load32_splat(take)
  v128.store(o, f32x4.add(f32x4.mul(v128.load(o), k), f32x4.mul(a, t)))
  v128.store(o, f32x4.add(f32x4.mul(v128.load(o, 16), k), f32x4.mul(b, t)), 16)
}

/** values [rows, channels] f32 of codes i16, without their scales. channels: a multiple of 16. */
export function widen(out: usize, codes: usize, n: i32): void {
  for (let i = 0; i < n; i += 16, codes += 32, out += 64) {
    const x = v128.load(codes), y = v128.load(codes, 16)
    v128.store(out, f32x4.convert_i32x4_s(i32x4.extend_low_i16x8_s(x)))
    v128.store(out, f32x4.convert_i32x4_s(i32x4.extend_high_i16x8_s(x)), 16)
    v128.store(out, f32x4.convert_i32x4_s(i32x4.extend_low_i16x8_s(y)), 32)
    v128.store(out, f32x4.convert_i32x4_s(i32x4.extend_high_i16x8_s(y)), 48)
  }
}
