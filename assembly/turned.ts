// Scores of many queries against one tile of i16 keys: the tile is turned once, so that no product ends in a horizontal sum.
//
// A turned tile holds its keys in eights; of each eight, for every pair of channels, the pair of key 0, of key 1 … of key 7:
//   | k0c0 k0c1 | k1c0 k1c1 | … | k7c0 k7c1 | k0c2 k0c3 | …   i16, 32 bytes a pair

/** Turns `rows` keys of `bytes` bytes; up to seven more are read and turned. */
export function turnKeys(out: usize, keys: usize, rows: i32, bytes: usize): void {
  for (let i = 0; i < rows; i += 8, out += 8 * bytes)
    for (let half: usize = 0; half < 32; half += 16, keys += 4 * bytes) {
      let to = out + half
      for (let k = keys, end = keys + bytes; k < end; k += 16, to += 128) {
        const x = v128.load(k), y = v128.load(k + bytes), z = v128.load(k + 2 * bytes), w = v128.load(k + 3 * bytes)
        const xy = v128.shuffle<i32>(x, y, 0, 4, 1, 5), zw = v128.shuffle<i32>(z, w, 0, 4, 1, 5)
        const xy2 = v128.shuffle<i32>(x, y, 2, 6, 3, 7), zw2 = v128.shuffle<i32>(z, w, 2, 6, 3, 7)
        v128.store(to, v128.shuffle<i64>(xy, zw, 0, 2))
        v128.store(to, v128.shuffle<i64>(xy, zw, 1, 3), 32)
        v128.store(to, v128.shuffle<i64>(xy2, zw2, 0, 2), 64)
        v128.store(to, v128.shuffle<i64>(xy2, zw2, 1, 3), 96)
      }
    }
}

/** `scoreTile` of i16 rows from a turned tile, the same bits. Four queries; at most 128 channels; out is written in eights. */
export function scoreTurned(queries: usize, factors: usize, turned: usize, scales: usize, rows: i32, bytes: usize, out: usize, step: usize): void {
  const zero = i32x4.splat(0)
  const q1 = bytes, q2 = q1 + bytes, q3 = q2 + bytes
  const f0 = v128.load32_splat(factors), f1 = v128.load32_splat(factors, 4), f2 = v128.load32_splat(factors, 8), f3 = v128.load32_splat(factors, 12)
  for (let i = 0; i < rows; i += 8, scales += 32, out += 32) {
    let a0 = zero, a1 = zero, b0 = zero, b1 = zero, c0 = zero, c1 = zero, d0 = zero, d1 = zero
    for (let q = queries, end = queries + bytes; q < end; q += 4, turned += 32) {
      const x = v128.load(turned), y = v128.load(turned, 16)
      let t = v128.load32_splat(q); a0 = i32x4.add(a0, i32x4.dot_i16x8_s(x, t)); a1 = i32x4.add(a1, i32x4.dot_i16x8_s(y, t))
      t = v128.load32_splat(q + q1); b0 = i32x4.add(b0, i32x4.dot_i16x8_s(x, t)); b1 = i32x4.add(b1, i32x4.dot_i16x8_s(y, t))
      t = v128.load32_splat(q + q2); c0 = i32x4.add(c0, i32x4.dot_i16x8_s(x, t)); c1 = i32x4.add(c1, i32x4.dot_i16x8_s(y, t))
      t = v128.load32_splat(q + q3); d0 = i32x4.add(d0, i32x4.dot_i16x8_s(x, t)); d1 = i32x4.add(d1, i32x4.dot_i16x8_s(y, t))
    }
    const s0 = v128.load(scales), s1 = v128.load(scales, 16)
    put(out, a0, a1, s0, s1, f0)
    put(out + step, b0, b1, s0, s1, f1)
    put(out + 2 * step, c0, c1, s0, s1, f2)
    put(out + 3 * step, d0, d1, s0, s1, f3)
  }
}

// @ts-ignore: decorator
@inline
function put(out: usize, a: v128, b: v128, s0: v128, s1: v128, factor: v128): void {
  v128.store(out, f32x4.mul(f32x4.mul(f32x4.convert_i32x4_s(a), s0), factor))
  v128.store(out, f32x4.mul(f32x4.mul(f32x4.convert_i32x4_s(b), s1), factor), 16)
}
