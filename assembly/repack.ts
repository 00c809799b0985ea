import { setCost } from './registers'
import { BF16, F16, F32, Q4_1, Q8_0, codeBytes, groupBytes, half1, recordBytes } from './packed'

// GGUF blocks of 32 columns:  Q8_0  | d f16 | 32 × i8 |            34 bytes
//                             Q4_0  | d f16 | 16 bytes |           18 bytes, low nibble of byte i: column i, high: i + 16
//                             Q4_1  | d f16 | m f16 | 16 bytes |   20 bytes

/** Rows of one block of work. */
const ROWS: i32 = 64

/** Bytes of 32 columns of one row in a GGUF file. */
function sourceBytes(layout: i32): usize {
  if (layout == F32) return 128
  if (layout == F16 || layout == BF16) return 64
  return layout == Q8_0 ? 34 : layout == Q4_1 ? 20 : 18
}

/** to [units][8] u16 = from [rows][units] u16, rows `stride` bytes apart; zeros for the rows up to 8. */
function transpose16(to: usize, from: usize, stride: usize, rows: i32, units: i32): void {
  for (let r = 0; r < 8; r++, to += 2, from += stride)
    for (let u: usize = 0; u < <usize>units; u++) store<u16>(to + (u << 4), r < rows ? load<u16>(from + (u << 1)) : 0)
}

/** The same for f32. */
function transpose32(to: usize, from: usize, stride: usize, rows: i32, units: i32): void {
  for (let r = 0; r < 8; r++, to += 4, from += stride)
    for (let u: usize = 0; u < <usize>units; u++) store<u32>(to + (u << 5), r < rows ? load<u32>(from + (u << 2)) : 0)
}

/** Nibbles `shift` of four vectors of u16, the first lowest. */
// @ts-ignore: decorator
@inline
function gather(pairs: usize, shift: i32): v128 {
  const low = i16x8.splat(15)
  const a = v128.and(i16x8.shr_u(v128.load(pairs), shift), low), b = v128.and(i16x8.shr_u(v128.load(pairs, 16), shift), low)
  const c = v128.and(i16x8.shr_u(v128.load(pairs, 32), shift), low), d = v128.and(i16x8.shr_u(v128.load(pairs, 48), shift), low)
  return v128.or(v128.or(a, i16x8.shl(b, 4)), v128.or(i16x8.shl(c, 8), i16x8.shl(d, 12)))
}

/** words [8] of 16 bytes from pairs [8][8 rows] of file bytes: pair k holds columns 2k, 2k + 1 (low) and 16 more (high). */
function nibbles(to: usize, pairs: usize): void {
  for (let half = 0; half < 2; half++, to += 32, pairs += 64)
    for (let shift = 0; shift < 8; shift += 4) {
      const even = gather(pairs, shift), odd = gather(pairs, shift + 8)
      const word = to + (<usize>shift << 4)
      v128.store(word, v128.shuffle<i16>(even, odd, 0, 8, 1, 9, 2, 10, 3, 11))
      v128.store(word, v128.shuffle<i16>(even, odd, 4, 12, 5, 13, 6, 14, 7, 15), 16)
    }
}

/** One record of `rows` ≤ 8 rows of an integer layout. */
function record(to: usize, from: usize, stride: usize, rows: i32, layout: i32, scratch: usize): void {
  const minima = layout == Q4_1
  const codes = from + (minima ? 4 : 2)
  if (layout == Q8_0) transpose16(to, codes, stride, rows, 16)
  else {
    transpose16(scratch, codes, stride, rows, 8)
    nibbles(to, scratch)
  }
  to += codeBytes(layout)
  for (let r = 0; r < 8; r++, to += 4, from += stride) {
    store<f32>(to, r < rows ? half1(load<u16>(from)) : 0)
    if (minima) store<f32>(to, r < rows ? half1(load<u16>(from, 2)) : 0, 32)
  }
}

export function repackBlocks(a: usize): i32 {
  const rows = load<i32>(a, 12)
  setCost(ROWS * load<i32>(a, 16) / 250)
  return (rows + ROWS - 1) / ROWS
}

export function repack(a: usize, block: i32, scratch: usize): void {
  const layout = load<i32>(a, 8), rows = load<i32>(a, 12), columns = load<i32>(a, 16), first = load<i32>(a, 20)
  const blocks = columns >> 5
  const unit = sourceBytes(layout)
  const stride = layout < Q8_0 ? <usize>columns * (unit >> 5) : <usize>blocks * unit
  const end = min(rows, (block + 1) * ROWS)
  for (let r = block * ROWS; r < end; r += 8) {
    let from = load<usize>(a, 4) + <usize>r * stride
    let to = load<usize>(a) + <usize>((first + r) >> 3) * groupBytes(layout, columns)
    const count = min(8, rows - r)
    if (layout == F32) transpose32(to, from, stride, count, columns)
    else if (layout < Q8_0) transpose16(to, from, stride, count, columns)
    else for (let b = 0; b < blocks; b++, from += unit, to += recordBytes(layout)) record(to, from, stride, count, layout, scratch)
  }
}
