// Packed weights [rows, columns] lie in groups of 8 rows; missing rows of the last group are zeros.
//
//   F32         [columns][8 rows] f32
//   F16, BF16   [columns][8 rows] u16
//   Q8_0        [columns / 32] records of 288 bytes  | 16 pairs of 16 bytes | d f32 × 8 |
//   Q4_0        [columns / 32] records of 160 bytes  |  8 words of 16 bytes | d f32 × 8 |
//   Q4_1        [columns / 32] records of 192 bytes  |  8 words of 16 bytes | d f32 × 8 | m f32 × 8 |
//
//   Q8_0 pair p, byte j: the i8 of row j >> 1, column 2p + (j & 1); value = d × code
//   Q4   word p, u32 j: row 4 (p & 1) + j, columns c = 8 (p >> 1) …; nibble i is column c + 2i, nibble 4 + i column c + 2i + 1;
//                       value = d × (n − 8) for Q4_0, d × n + m for Q4_1
//
// A pair of columns of four rows is thus one vector after widening, as i32x4.dot_i16x8_s wants it, and nibbles need only a
// mask or a shift for that. A block of zeros has d 0.

export const F32: i32 = 0
export const F16: i32 = 1
export const BF16: i32 = 2
export const Q8_0: i32 = 3
export const Q4_0: i32 = 4
export const Q4_1: i32 = 5

/** Bytes of a record's codes; d [8] f32 lies behind them, m [8] behind d. */
// @ts-ignore: decorator
@inline
export function codeBytes(layout: i32): usize {
  return layout == Q8_0 ? 256 : 128
}

/** Bytes of a record of 8 rows × 32 columns of an integer layout. */
// @ts-ignore: decorator
@inline
export function recordBytes(layout: i32): usize {
  return codeBytes(layout) + (layout == Q4_1 ? 64 : 32)
}

/** Bytes of 8 packed rows. */
export function groupBytes(layout: i32, columns: i32): usize {
  if (layout == F32) return <usize>columns << 5
  if (layout < Q8_0) return <usize>columns << 4
  return <usize>(columns >> 5) * recordBytes(layout)
}

/** Four f16 in the low halves of the i32 lanes, as f32, exactly. */
// @ts-ignore: decorator
@inline
export function half4(h: v128): v128 {
  const bits = i32x4.shl(v128.and(h, i32x4.splat(0x7fff)), 13)
  // The exponent moves from bias 15 to bias 127 by a product, which also makes subnormals right.
  const scaled = f32x4.mul(bits, i32x4.splat((127 + 112) << 23))
  const special = v128.and(i32x4.ge_u(bits, i32x4.splat(0x0f800000)), i32x4.splat(0x7f800000))
  const sign = i32x4.shl(v128.and(h, i32x4.splat(0x8000)), 16)
  return v128.or(v128.or(scaled, special), sign)
}

/** One f16 as f32. */
// @ts-ignore: decorator
@inline
export function half1(h: u32): f32 {
  return f32x4.extract_lane(half4(i32x4.splat(h)), 0)
}
