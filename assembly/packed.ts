// Packed weights [rows, columns] lie in groups of 8 rows; missing rows of the last group are zeros.
//
//   F32         [columns][8 rows] f32
//   F16, BF16   [columns][8 rows] u16
//   others      [columns / 32] records: codes | constants f32 × 8 |
//
//               codes                      constants                bytes   value
//   Q8_0        16 pairs of 16 bytes       d                          288   d × code
//   Q4_0         8 words of 16 bytes       d                          160   d × (n − 8)
//   Q4_1         8 words of 16 bytes       d | m                      192   d × n + m
//   IQ4_NL       8 pairs of 16 bytes       d                          160   d × curve[n]
//   Q5_1        12 words of 16 bytes       d | m                      256   d × n + m
//   Q6_K        12 words of 16 bytes       d | d of columns 16 …      256   d × (n − 32)
//   Q3_K         8 words of 16 bytes       d | d of columns 16 …      192   d × (n − 8)
//   Q2_K         8 words of 16 bytes       d | m | d, m of columns 16 …   256   d × n + m
//
//   16 pairs: byte j of pair p is the i8 of row j >> 1, column 2p + (j & 1)
//   8 pairs:  byte j of pair p is n of row j >> 1, low nibble column 4p + (j & 1), high nibble column 4p + 2 + (j & 1)
//   8 words:  word p, u32 j: row 4 (p & 1) + j, columns c = 8 (p >> 1) …; nibble i is column c + 2i, nibble 4 + i column c + 2i + 1
//   12 words: of 16 columns from c on x, x, y, y, z, z, rows 0 … 3 and 4 … 7; u32 j: row j or 4 + j, its u16 columns of one parity, c and
//             c + 1. Six bits from bit 0 and six from bit 6 on: columns 0 and 2 of that parity in x, 4 and 6 in y, 8 and 10 in z;
//             column 12 has its lower four in x's upper, 14 in y's; their upper two are in z's bits 12, 13 and 14, 15
//
// A pair of columns of four rows is thus one vector after widening, as i32x4.dot_i16x8_s wants it, and nibbles need only a
// mask or a shift for that, six bits little more. A block of zeros has d 0.

export const F32: i32 = 0
export const F16: i32 = 1
export const BF16: i32 = 2
export const Q8_0: i32 = 3
export const Q4_0: i32 = 4
export const Q4_1: i32 = 5
export const IQ4_NL: i32 = 6
export const Q5_1: i32 = 7
export const Q6_K: i32 = 8
export const Q3_K: i32 = 9
export const Q2_K: i32 = 10

/** Codes of six bits. */
// @ts-ignore: decorator
@inline
export function sixBits(layout: i32): bool {
  return layout == Q5_1 || layout == Q6_K
}

/** Constants of their own for columns 0 … 15 and 16 … 31. */
// @ts-ignore: decorator
@inline
export function halves(layout: i32): bool {
  return layout >= Q6_K
}

/** An m behind each d. */
// @ts-ignore: decorator
@inline
export function minima(layout: i32): bool {
  return layout == Q4_1 || layout == Q5_1 || layout == Q2_K
}

/** Bytes of a record's codes; constants [8] f32 lie behind them. */
// @ts-ignore: decorator
@inline
export function codeBytes(layout: i32): usize {
  return layout == Q8_0 ? 256 : sixBits(layout) ? 192 : 128
}

/** Bytes of a record of 8 rows × 32 columns of an integer layout. */
// @ts-ignore: decorator
@inline
export function recordBytes(layout: i32): usize {
  return codeBytes(layout) + ((minima(layout) ? 64 : 32) << <usize>halves(layout))
}

/** Bytes of 8 packed rows. */
export function groupBytes(layout: i32, columns: i32): usize {
  if (layout == F32) return <usize>columns << 5
  if (layout < Q8_0) return <usize>columns << 4
  return <usize>(columns >> 5) * recordBytes(layout)
}

/** Codes of IQ4_NL: -127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113. */
const curve = memory.data<u8>([129, 152, 173, 191, 207, 221, 234, 246, 1, 13, 25, 38, 53, 69, 89, 113], 16)

/** All of them, as i8. */
// @ts-ignore: decorator
@inline
export function curveCodes(): v128 {
  return v128.load(curve)
}

/** The one of nibble n. */
export function curveCode(n: usize): i32 {
  return load<i8>(curve + n)
}

// V8 rebuilds a vector constant at each use, in three instructions; loaded from here before a loop it keeps its register.
const constants = memory.data<u32>([
  0x000f000f, 0x000f000f, 0x000f000f, 0x000f000f, 0x00f000f0, 0x00f000f0, 0x00f000f0, 0x00f000f0,
  0x0f000f00, 0x0f000f00, 0x0f000f00, 0x0f000f00, 0x8fffe000, 0x8fffe000, 0x8fffe000, 0x8fffe000,
  0x77800000, 0x77800000, 0x77800000, 0x77800000, 0x47800000, 0x47800000, 0x47800000, 0x47800000,
  0x7f800000, 0x7f800000, 0x7f800000, 0x7f800000,
], 16)

/** Nibble i of every u16, i < 3. */
// @ts-ignore: decorator
@inline
export function nibbleMask(i: usize): v128 {
  return v128.load(constants + (i << 4))
}

/** [columns][8] f32 = [columns][8] f16, exactly. */
export function floats16(to: usize, from: usize, columns: i32): void {
  // Shifted to its place an f16 lacks only 112 in its exponent; a product adds it, and makes subnormals right.
  const fields = v128.load(constants, 48), power = v128.load(constants, 64)
  const special = v128.load(constants, 80), infinity = v128.load(constants, 96)
  for (const end = to + (<usize>columns << 5); to != end; to += 32, from += 16) {
    const h = v128.load(from)
    const a = f32x4.mul(v128.and(i32x4.shr_s(i32x4.shl(i32x4.extend_low_i16x8_u(h), 16), 3), fields), power)
    const b = f32x4.mul(v128.and(i32x4.shr_s(i32x4.shl(i32x4.extend_high_i16x8_u(h), 16), 3), fields), power)
    v128.store(to, v128.or(a, v128.and(f32x4.ge(f32x4.abs(a), special), infinity)))
    v128.store(to, v128.or(b, v128.and(f32x4.ge(f32x4.abs(b), special), infinity)), 16)
  }
}

/** One f16 as f32, exactly. */
export function half1(h: u32): f32 {
  const fields: u32 = (h & 0x7fff) << 13 | (h & 0x8000) << 16
  if ((h & 0x7c00) == 0x7c00) return reinterpret<f32>(fields | 0x7f800000)
  return reinterpret<f32>(fields) * reinterpret<f32>((127 + 112) << 23)
}
