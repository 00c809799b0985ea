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
export function halves(to: usize, from: usize, columns: i32): void {
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
