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

/** o [n, 2 × bytes] f32; codes of weights [n, 64] i16, zero up to the next even row; values i16 [rows, bytes]. See `codeWeights`. */
export function weighI16(o: usize, codes: usize, keep: usize, take: usize, n: i32, values: usize, rows: i32, bytes: usize): void {
  switch (n) {
    case 1: sumsI16(1, o, codes, keep, take, values, rows, bytes); break
    case 2: sumsI16(2, o, codes, keep, take, values, rows, bytes); break
    case 3: sumsI16(3, o, codes, keep, take, values, rows, bytes); break
    default: sumsI16(4, o, codes, keep, take, values, rows, bytes)
  }
}

/** Two rows at a time: their codes are zipped once, and each query adds both products of a channel in one dot. */
// @ts-ignore: decorator
@inline
function sumsI16(n: i32, o: usize, codes: usize, keep: usize, take: usize, values: usize, rows: i32, bytes: usize): void {
  const zero = i32x4.splat(0), wide = bytes << 1
  const end = codes + (<usize>((rows + 1) & ~1) << 1)
  for (let c: usize = 0; c < bytes; c += 16) {
    let a0 = zero, a1 = zero, b0 = zero, b1 = zero, c0 = zero, c1 = zero, d0 = zero, d1 = zero
    let v = values + c
    for (let w = codes; w < end; w += 4, v += 2 * bytes) {
      const x = v128.load(v), y = v128.load(v + bytes)
      const low = v128.shuffle<i16>(x, y, 0, 8, 1, 9, 2, 10, 3, 11), high = v128.shuffle<i16>(x, y, 4, 12, 5, 13, 6, 14, 7, 15)
      let t = v128.load32_splat(w); a0 = i32x4.add(a0, i32x4.dot_i16x8_s(low, t)); a1 = i32x4.add(a1, i32x4.dot_i16x8_s(high, t))
      if (n > 1) { t = v128.load32_splat(w, 128); b0 = i32x4.add(b0, i32x4.dot_i16x8_s(low, t)); b1 = i32x4.add(b1, i32x4.dot_i16x8_s(high, t)) }
      if (n > 2) { t = v128.load32_splat(w, 256); c0 = i32x4.add(c0, i32x4.dot_i16x8_s(low, t)); c1 = i32x4.add(c1, i32x4.dot_i16x8_s(high, t)) }
      if (n > 3) { t = v128.load32_splat(w, 384); d0 = i32x4.add(d0, i32x4.dot_i16x8_s(low, t)); d1 = i32x4.add(d1, i32x4.dot_i16x8_s(high, t)) }
    }
    const to = o + (c << 1)
    mergeAt(to, f32x4.convert_i32x4_s(a0), f32x4.convert_i32x4_s(a1), keep, take)
    if (n > 1) mergeAt(to + wide, f32x4.convert_i32x4_s(b0), f32x4.convert_i32x4_s(b1), keep + 4, take + 4)
    if (n > 2) mergeAt(to + 2 * wide, f32x4.convert_i32x4_s(c0), f32x4.convert_i32x4_s(c1), keep + 8, take + 8)
    if (n > 3) mergeAt(to + 3 * wide, f32x4.convert_i32x4_s(d0), f32x4.convert_i32x4_s(d1), keep + 12, take + 12)
  }
}
