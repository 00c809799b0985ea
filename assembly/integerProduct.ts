import { IQ4_NL, Q3_K, Q4_0, Q4_1, Q8_0, codeBytes, halves, minima, nibbleMask, recordBytes, sixBits } from './packed'
import { oneCurve, widenCurve } from './curveProduct'
import { halfFour, halfOne, widenSix } from './halfProduct'

// Products of activation codes with integer layouts. Per record of 32 columns, ascending, in every kernel here alike:
//   sum += (f32(Σ weight·code)·d)·s + m·(s·Σ code)
// The integer sums are exact, so one token and four, nibbles and widened weights give the same bits.

/** Where what is read for its cache line alone goes. */
let sink = 0

/**
 * Bytes by which reading runs ahead of one token's products: a load from each cache line that is soon wanted, which the processor's
 * own prefetching brings too late from memory. 512 to 1024 do about alike, less than every line costs more than it gives.
 */
// @ts-ignore: decorator
@inline
export const AHEAD: usize = 768

/** Bytes of a widened record: [16 pairs][8 rows][2] i16. */
export const WIDE: usize = 512

/** c + the products of four pairs of i16. */
// @ts-ignore: decorator
@inline
export function dot(c: v128, w: v128, q: v128): v128 {
  return i32x4.add(c, i32x4.dot_i16x8_s(w, q))
}

/** sum + what one record adds to four rows. block: the activations' block record; d, and m 32 bytes behind it. */
// @ts-ignore: decorator
@inline
export function add(sum: v128, integers: v128, constants: usize, block: usize, minima: bool): v128 {
  const product = f32x4.mul(f32x4.mul(f32x4.convert_i32x4_s(integers), v128.load(constants)), v128.load32_splat(block))
  if (minima) return f32x4.add(sum, f32x4.add(product, f32x4.mul(v128.load(constants, 32), v128.load32_splat(block, 4))))
  return f32x4.add(sum, product)
}

/** tile [records] widened; Q4_0 and Q3_K as n − 8. */
export function widen(tile: usize, packed: usize, records: i32, layout: i32): void {
  const rest = recordBytes(layout) - codeBytes(layout)
  if (layout == Q8_0) {
    for (let b = 0; b < records; b++, packed += rest)
      for (let p = 0; p < 16; p++, packed += 16, tile += 32) {
        const w = v128.load(packed)
        v128.store(tile, i16x8.extend_low_i8x16_s(w))
        v128.store(tile, i16x8.extend_high_i8x16_s(w), 16)
      }
    return
  }
  if (layout == IQ4_NL) return widenCurve(tile, packed, records)
  if (sixBits(layout)) return widenSix(tile, packed, records, layout)
  const mask = nibbleMask(0), zero = i16x8.splat(layout == Q4_0 || layout == Q3_K ? 8 : 0)
  for (let b = 0; b < records; b++, packed += rest)
    for (let p = 0; p < 4; p++, packed += 32, tile += 128) {
      const w0 = v128.load(packed), w1 = v128.load(packed, 16)
      v128.store(tile, i16x8.sub(v128.and(w0, mask), zero))
      v128.store(tile, i16x8.sub(v128.and(w1, mask), zero), 16)
      v128.store(tile, i16x8.sub(v128.and(i16x8.shr_u(w0, 4), mask), zero), 32)
      v128.store(tile, i16x8.sub(v128.and(i16x8.shr_u(w1, 4), mask), zero), 48)
      v128.store(tile, i16x8.sub(v128.and(i16x8.shr_u(w0, 8), mask), zero), 64)
      v128.store(tile, i16x8.sub(v128.and(i16x8.shr_u(w1, 8), mask), zero), 80)
      v128.store(tile, i16x8.sub(i16x8.shr_u(w0, 12), zero), 96)
      v128.store(tile, i16x8.sub(i16x8.shr_u(w1, 12), zero), 112)
    }
}

/**
 * One token, 8 rows, straight from nibbles. sums [8] f32 are added to; code [32·records] i16, block [records] as `Activations`.
 * As far as `ahead` bytes behind each record its cache lines are touched.
 * The second and third nibble are masked where they stand, 16 and 256 times too large: at most 8 × 256 × 15 × 32639 < 2³⁰ a
 * record, and exact when shifted back.
 */
// @ts-ignore: decorator
@inline
function oneNibbles(sums: usize, packed: usize, code: usize, block: usize, records: i32, minima: bool, ahead: usize): void {
  let touched = 0
  const m0 = nibbleMask(0), m1 = nibbleMask(1), m2 = nibbleMask(2)
  let a0 = v128.load(sums), a1 = v128.load(sums, 16)
  for (let b = 0; b < records; b++) {
    let i0 = i32x4.splat(0), i1 = i0, j0 = i0, j1 = i0, k0 = i0, k1 = i0
    const end = packed + 128
    const next = packed + ahead
    touched ^= load<i32>(next) ^ load<i32>(next, 64) ^ load<i32>(next, 128)
    do {
      const w0 = v128.load(packed), w1 = v128.load(packed, 16)
      let q = v128.load32_splat(code)
      i0 = dot(i0, v128.and(w0, m0), q)
      i1 = dot(i1, v128.and(w1, m0), q)
      q = v128.load32_splat(code, 4)
      j0 = dot(j0, v128.and(w0, m1), q)
      j1 = dot(j1, v128.and(w1, m1), q)
      q = v128.load32_splat(code, 8)
      k0 = dot(k0, v128.and(w0, m2), q)
      k1 = dot(k1, v128.and(w1, m2), q)
      q = v128.load32_splat(code, 12)
      i0 = dot(i0, i16x8.shr_u(w0, 12), q)
      i1 = dot(i1, i16x8.shr_u(w1, 12), q)
      packed += 32
      code += 16
    } while (packed != end)
    i0 = i32x4.add(i0, i32x4.add(i32x4.shr_s(j0, 4), i32x4.shr_s(k0, 8)))
    i1 = i32x4.add(i1, i32x4.add(i32x4.shr_s(j1, 4), i32x4.shr_s(k1, 8)))
    if (!minima) {
      // Σ (n − 8)·code, with Σ code from the block record.
      const eight = i32x4.shl(v128.load32_splat(block, 8), 3)
      i0 = i32x4.sub(i0, eight)
      i1 = i32x4.sub(i1, eight)
    }
    a0 = add(a0, i0, packed, block, minima)
    a1 = add(a1, i1, packed + 16, block, minima)
    packed += minima ? 64 : 32
    block += 16
  }
  v128.store(sums, a0)
  v128.store(sums, a1, 16)
  sink = touched
}

/** The same from bytes. */
function oneBytes(sums: usize, packed: usize, code: usize, block: usize, records: i32, ahead: usize): void {
  let touched = 0
  let a0 = v128.load(sums), a1 = v128.load(sums, 16)
  for (let b = 0; b < records; b++) {
    let i0 = i32x4.splat(0), i1 = i0, j0 = i0, j1 = i0
    const next = packed + ahead
    touched ^= load<i32>(next) ^ load<i32>(next, 64) ^ load<i32>(next, 128) ^ load<i32>(next, 192) ^ load<i32>(next, 256)
    for (let quarter = 0; quarter < 4; quarter++) {
      let w = v128.load(packed), q = v128.load32_splat(code)
      i0 = dot(i0, i16x8.extend_low_i8x16_s(w), q)
      i1 = dot(i1, i16x8.extend_high_i8x16_s(w), q)
      w = v128.load(packed, 16), q = v128.load32_splat(code, 4)
      j0 = dot(j0, i16x8.extend_low_i8x16_s(w), q)
      j1 = dot(j1, i16x8.extend_high_i8x16_s(w), q)
      w = v128.load(packed, 32), q = v128.load32_splat(code, 8)
      i0 = dot(i0, i16x8.extend_low_i8x16_s(w), q)
      i1 = dot(i1, i16x8.extend_high_i8x16_s(w), q)
      w = v128.load(packed, 48), q = v128.load32_splat(code, 12)
      j0 = dot(j0, i16x8.extend_low_i8x16_s(w), q)
      j1 = dot(j1, i16x8.extend_high_i8x16_s(w), q)
      packed += 64
      code += 16
    }
    a0 = add(a0, i32x4.add(i0, j0), packed, block, false)
    a1 = add(a1, i32x4.add(i1, j1), packed + 16, block, false)
    packed += 32
    block += 16
  }
  v128.store(sums, a0)
  v128.store(sums, a1, 16)
  sink = touched
}

/** One token, 8 rows, `records` records from packed. */
export function integerOne(sums: usize, packed: usize, code: usize, block: usize, records: i32, layout: i32, ahead: usize): void {
  if (!ASC_FEATURE_RELAXED_SIMD) { // there relaxedProduct.ts has these
    if (layout == Q4_1) return oneNibbles(sums, packed, code, block, records, true, ahead)
    if (layout == Q4_0) return oneNibbles(sums, packed, code, block, records, false, ahead)
  }
  if (layout == Q8_0) oneBytes(sums, packed, code, block, records, ahead)
  else if (layout == IQ4_NL) oneCurve(sums, packed, code, block, records, ahead)
  else halfOne(sums, packed, code, block, records, layout, ahead)
}

/** quad [pairs][4 tokens] = pairs of codes of four tokens, `stride` bytes apart, side by side: one pointer runs through them. */
export function interleave(quad: usize, x0: usize, stride: usize, pairs: i32): void {
  const x1 = x0 + stride, x2 = x1 + stride, x3 = x2 + stride
  for (let p: usize = 0, end = <usize>pairs << 2; p < end; p += 16, quad += 64) {
    const a = v128.load(x0 + p), b = v128.load(x1 + p), c = v128.load(x2 + p), d = v128.load(x3 + p)
    const ab = v128.shuffle<i32>(a, b, 0, 4, 1, 5), cd = v128.shuffle<i32>(c, d, 0, 4, 1, 5)
    const ef = v128.shuffle<i32>(a, b, 2, 6, 3, 7), gh = v128.shuffle<i32>(c, d, 2, 6, 3, 7)
    v128.store(quad, v128.shuffle<i64>(ab, cd, 0, 2))
    v128.store(quad, v128.shuffle<i64>(ab, cd, 1, 3), 16)
    v128.store(quad, v128.shuffle<i64>(ef, gh, 0, 2), 32)
    v128.store(quad, v128.shuffle<i64>(ef, gh, 1, 3), 48)
  }
}

/** Adds one record's integers of 8 rows to sums [8]. */
// @ts-ignore: decorator
@inline
export function keep(sums: usize, low: v128, high: v128, constants: usize, block: usize, minima: bool): void {
  v128.store(sums, add(v128.load(sums), low, constants, block, minima))
  v128.store(sums, add(v128.load(sums, 16), high, constants + 16, block, minima), 16)
}

/**
 * Four tokens, 8 rows, `records` records of a widened tile, which came from `packed`. sums [4][8] f32, `rows` bytes apart, are
 * added to; quad as `interleave` leaves it; block: the first token's, the next `blocks` bytes on.
 *
 * A loop of one pair keeps its 8 sums and 6 operands in the 15 registers there are; compilers hoist the loads of a longer one
 * to its top and spill.
 */
export function integerFour(sums: usize, rows: usize, tile: usize, packed: usize, quad: usize, block: usize, blocks: usize, records: i32, layout: i32): void {
  if (halves(layout)) return halfFour(sums, rows, tile, packed, quad, block, blocks, records, layout)
  const low = minima(layout), record = recordBytes(layout)
  const s1 = sums + rows, s2 = s1 + rows, s3 = s2 + rows
  let constants = packed + codeBytes(layout)
  for (let b = 0; b < records; b++) {
    let i0 = i32x4.splat(0), i1 = i0, j0 = i0, j1 = i0, k0 = i0, k1 = i0, l0 = i0, l1 = i0
    const end = tile + WIDE
    do {
      const w0 = v128.load(tile), w1 = v128.load(tile, 16)
      let q = v128.load32_splat(quad)
      i0 = dot(i0, w0, q), i1 = dot(i1, w1, q), q = v128.load32_splat(quad, 4)
      j0 = dot(j0, w0, q), j1 = dot(j1, w1, q), q = v128.load32_splat(quad, 8)
      k0 = dot(k0, w0, q), k1 = dot(k1, w1, q), q = v128.load32_splat(quad, 12)
      l0 = dot(l0, w0, q), l1 = dot(l1, w1, q)
      tile += 32, quad += 16
    } while (tile != end)
    const t1 = block + blocks, t2 = t1 + blocks, t3 = t2 + blocks
    if (low) {
      keep(sums, i0, i1, constants, block, true)
      keep(s1, j0, j1, constants, t1, true)
      keep(s2, k0, k1, constants, t2, true)
      keep(s3, l0, l1, constants, t3, true)
    } else {
      keep(sums, i0, i1, constants, block, false)
      keep(s1, j0, j1, constants, t1, false)
      keep(s2, k0, k1, constants, t2, false)
      keep(s3, l0, l1, constants, t3, false)
    }
    constants += record
    block += 16
  }
}
