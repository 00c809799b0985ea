import { setCost } from './registers'
import { F32, IQ4_NL, Q8_0, codeBytes, groupBytes, halves, minima, recordBytes, sixBits } from './packed'
import { blockBytes, blockRecords, decode } from './fileBlocks'

/** Rows of one block of work. */
const ROWS: i32 = 64

// Scratch of one record: [8 rows][32] u8 as decoded, [16 pairs][8 rows][2] u8, [8 rows][4] f32.
// @ts-ignore: decorator
@inline
const PAIRS: usize = 256
// @ts-ignore: decorator
@inline
const CONSTANTS: usize = 512

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

/** Pair p of the first four rows (or, 8 bytes on, of the others): a byte in each u16, moved up by `shift` bits. */
// @ts-ignore: decorator
@inline
function pair(pairs: usize, p: usize, shift: i32): v128 {
  return i16x8.shl(v128.load8x8_u(pairs + (p << 4)), shift)
}

/** words [8] of 16 bytes from pairs [16]. */
function packNibbles(to: usize, pairs: usize): void {
  for (const end = to + 128; to != end; to += 32, pairs += 64)
    for (let r: usize = 0; r < 2; r++) {
      const four = pairs + (r << 3)
      v128.store(to + (r << 4), v128.or(v128.or(pair(four, 0, 0), pair(four, 1, 4)), v128.or(pair(four, 2, 8), pair(four, 3, 12))))
    }
}

/** bytes [8] of 16, two pairs to a byte, from pairs [16]. */
function packCurve(to: usize, pairs: usize): void {
  for (const end = to + 128; to != end; to += 16, pairs += 32) v128.store(to, v128.or(v128.load(pairs), i8x16.shl(v128.load(pairs, 16), 4)))
}

/** words [12] of 16 bytes from pairs [16]. */
function packSixBits(to: usize, pairs: usize): void {
  for (const end = to + 192; to != end; to += 96, pairs += 128)
    for (let r: usize = 0; r < 2; r++) {
      const four = pairs + (r << 3), word = to + (r << 4)
      v128.store(word, v128.or(v128.or(pair(four, 0, 0), pair(four, 1, 6)), pair(four, 6, 12)))
      v128.store(word, v128.or(v128.or(pair(four, 2, 0), pair(four, 3, 6)), pair(four, 7, 12)), 32)
      const upper = v128.or(i16x8.shl(i16x8.shr_u(pair(four, 6, 0), 4), 12), i16x8.shl(i16x8.shr_u(pair(four, 7, 0), 4), 14))
      v128.store(word, v128.or(v128.or(pair(four, 4, 0), pair(four, 5, 6)), upper), 64)
    }
}

/** One record of `rows` ≤ 8 rows of an integer layout: columns 32·i … of blocks of `type`. */
function record(to: usize, from: usize, stride: usize, rows: i32, type: i32, i: i32, layout: i32, scratch: usize): void {
  memory.fill(scratch, 0, CONSTANTS + 128)
  for (let r: usize = 0; r < <usize>rows; r++) decode(type, from + r * stride, i, scratch + (r << 5), scratch + CONSTANTS + (r << 4))
  const pairs = layout == Q8_0 ? to : scratch + PAIRS
  transpose16(pairs, scratch, 32, 8, 16)
  if (layout == IQ4_NL) packCurve(to, pairs)
  else if (sixBits(layout)) packSixBits(to, pairs)
  else if (layout != Q8_0) packNibbles(to, pairs)
  to += codeBytes(layout)
  const low = minima(layout)
  for (let step: usize = 0; step < (halves(layout) ? 8 : 4); step += 4, to += low ? 64 : 32)
    for (let r: usize = 0; r < 8; r++) {
      const constants = scratch + CONSTANTS + (r << 4) + step
      store<f32>(to + (r << 2), load<f32>(constants))
      if (low) store<f32>(to + (r << 2), load<f32>(constants, 8), 32)
    }
}

export function repackBlocks(a: usize): i32 {
  const rows = load<i32>(a, 16)
  setCost(ROWS * load<i32>(a, 20) / 250)
  return (rows + ROWS - 1) / ROWS
}

export function repack(a: usize, block: i32, scratch: usize): void {
  const type = load<i32>(a, 8), layout = load<i32>(a, 12), rows = load<i32>(a, 16), columns = load<i32>(a, 20), first = load<i32>(a, 24)
  const bytes = blockBytes(type), records = blockRecords(type)
  const stride = layout < Q8_0 ? <usize>columns * (bytes >> 5) : <usize>((columns >> 5) / records) * bytes
  const end = min(rows, (block + 1) * ROWS)
  for (let r = block * ROWS; r < end; r += 8) {
    let from = load<usize>(a, 4) + <usize>r * stride
    let to = load<usize>(a) + <usize>((first + r) >> 3) * groupBytes(layout, columns)
    const count = min(8, rows - r)
    if (layout == F32) transpose32(to, from, stride, count, columns)
    else if (layout < Q8_0) transpose16(to, from, stride, count, columns)
    else for (let c = 0; c < columns; from += bytes)
      for (let i = 0; i < records; i++, c += 32, to += recordBytes(layout)) record(to, from, stride, count, type, i, layout, scratch)
  }
}
