import { Q4_0, Q4_1, Q8_0, codeBytes, recordBytes } from './packed'

// Products of activation codes with integer layouts. Per record of 32 columns, ascending, in every kernel here alike:
//   sum += (f32(Σ weight·code)·d)·s + m·(s·Σ code)
// The integer sums are exact, so one token and four, nibbles and widened weights give the same bits.

/** Bytes of a widened record: [16 pairs][8 rows][2] i16. */
export const WIDE: usize = 512

/** c + the products of four pairs of i16. */
// @ts-ignore: decorator
@inline
function dot(c: v128, w: v128, q: v128): v128 {
  return i32x4.add(c, i32x4.dot_i16x8_s(w, q))
}

/** sum + what one record adds to four rows. block: the activations' block record; d, and m 32 bytes behind it. */
// @ts-ignore: decorator
@inline
function add(sum: v128, integers: v128, constants: usize, block: usize, minima: bool): v128 {
  const product = f32x4.mul(f32x4.mul(f32x4.convert_i32x4_s(integers), v128.load(constants)), v128.load32_splat(block))
  if (minima) return f32x4.add(sum, f32x4.add(product, f32x4.mul(v128.load(constants, 32), v128.load32_splat(block, 4))))
  return f32x4.add(sum, product)
}

/** tile [records] widened; Q4_0 as n − 8. */
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
  const mask = i8x16.splat(15), zero = i8x16.splat(layout == Q4_0 ? 8 : 0)
  for (let b = 0; b < records; b++, packed += rest)
    for (let p = 0; p < 8; p++, packed += 16, tile += 64) {
      const w = v128.load(packed)
      const low = i8x16.sub(v128.and(w, mask), zero), high = i8x16.sub(i8x16.shr_u(w, 4), zero)
      v128.store(tile, i16x8.extend_low_i8x16_s(low))
      v128.store(tile, i16x8.extend_high_i8x16_s(low), 16)
      v128.store(tile, i16x8.extend_low_i8x16_s(high), 32)
      v128.store(tile, i16x8.extend_high_i8x16_s(high), 48)
    }
}

/** One token, 8 rows, straight from nibbles. sums [8] f32 are added to; code [32·records] i16, block [records] as `Activations`. */
// @ts-ignore: decorator
@inline
function oneNibbles(sums: usize, packed: usize, code: usize, block: usize, records: i32, minima: bool): void {
  const mask = i8x16.splat(15)
  let a0 = v128.load(sums), a1 = v128.load(sums, 16)
  for (let b = 0; b < records; b++) {
    let i0 = i32x4.splat(0), i1 = i0, j0 = i0, j1 = i0
    for (let half = 0; half < 2; half++) {
      let w = v128.load(packed), low = v128.and(w, mask), high = i8x16.shr_u(w, 4)
      let q = v128.load32_splat(code)
      i0 = dot(i0, i16x8.extend_low_i8x16_u(low), q)
      i1 = dot(i1, i16x8.extend_high_i8x16_u(low), q)
      q = v128.load32_splat(code, 4)
      j0 = dot(j0, i16x8.extend_low_i8x16_u(high), q)
      j1 = dot(j1, i16x8.extend_high_i8x16_u(high), q)
      w = v128.load(packed, 16), low = v128.and(w, mask), high = i8x16.shr_u(w, 4)
      q = v128.load32_splat(code, 8)
      i0 = dot(i0, i16x8.extend_low_i8x16_u(low), q)
      i1 = dot(i1, i16x8.extend_high_i8x16_u(low), q)
      q = v128.load32_splat(code, 12)
      j0 = dot(j0, i16x8.extend_low_i8x16_u(high), q)
      j1 = dot(j1, i16x8.extend_high_i8x16_u(high), q)
      w = v128.load(packed, 32), low = v128.and(w, mask), high = i8x16.shr_u(w, 4)
      q = v128.load32_splat(code, 16)
      i0 = dot(i0, i16x8.extend_low_i8x16_u(low), q)
      i1 = dot(i1, i16x8.extend_high_i8x16_u(low), q)
      q = v128.load32_splat(code, 20)
      j0 = dot(j0, i16x8.extend_low_i8x16_u(high), q)
      j1 = dot(j1, i16x8.extend_high_i8x16_u(high), q)
      w = v128.load(packed, 48), low = v128.and(w, mask), high = i8x16.shr_u(w, 4)
      q = v128.load32_splat(code, 24)
      i0 = dot(i0, i16x8.extend_low_i8x16_u(low), q)
      i1 = dot(i1, i16x8.extend_high_i8x16_u(low), q)
      q = v128.load32_splat(code, 28)
      j0 = dot(j0, i16x8.extend_low_i8x16_u(high), q)
      j1 = dot(j1, i16x8.extend_high_i8x16_u(high), q)
      packed += 64
      code += 32
    }
    i0 = i32x4.add(i0, j0)
    i1 = i32x4.add(i1, j1)
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
}

/** The same from bytes. */
function oneBytes(sums: usize, packed: usize, code: usize, block: usize, records: i32): void {
  let a0 = v128.load(sums), a1 = v128.load(sums, 16)
  for (let b = 0; b < records; b++) {
    let i0 = i32x4.splat(0), i1 = i0, j0 = i0, j1 = i0
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
}

/** One token, 8 rows, `records` records from packed. */
export function integerOne(sums: usize, packed: usize, code: usize, block: usize, records: i32, layout: i32): void {
  if (layout == Q4_1) oneNibbles(sums, packed, code, block, records, true)
  else if (layout == Q4_0) oneNibbles(sums, packed, code, block, records, false)
  else oneBytes(sums, packed, code, block, records)
}

/**
 * Four tokens, 8 rows, `records` records of a widened tile. sums [4][8] f32, `rows` bytes apart; code and block as above, their
 * tokens `codes` and `blocks` bytes apart; constants: d of the first record, the next `record` bytes on.
 */
// @ts-ignore: decorator
@inline
function four(sums: usize, rows: usize, tile: usize, constants: usize, record: usize, x0: usize, codes: usize, block: usize, blocks: usize, records: i32, minima: bool): void {
  const s1 = sums + rows, s2 = s1 + rows, s3 = s2 + rows
  let x1 = x0 + codes, x2 = x1 + codes, x3 = x2 + codes
  let a0 = v128.load(sums), a1 = v128.load(sums, 16), b0 = v128.load(s1), b1 = v128.load(s1, 16)
  let c0 = v128.load(s2), c1 = v128.load(s2, 16), e0 = v128.load(s3), e1 = v128.load(s3, 16)
  for (let b = 0; b < records; b++) {
    let i0 = i32x4.splat(0), i1 = i0, j0 = i0, j1 = i0, k0 = i0, k1 = i0, l0 = i0, l1 = i0
    for (let p = 0; p < 4; p++) {
      let w0 = v128.load(tile), w1 = v128.load(tile, 16), q = v128.load32_splat(x0)
      i0 = dot(i0, w0, q), i1 = dot(i1, w1, q), q = v128.load32_splat(x1)
      j0 = dot(j0, w0, q), j1 = dot(j1, w1, q), q = v128.load32_splat(x2)
      k0 = dot(k0, w0, q), k1 = dot(k1, w1, q), q = v128.load32_splat(x3)
      l0 = dot(l0, w0, q), l1 = dot(l1, w1, q)
      w0 = v128.load(tile, 32), w1 = v128.load(tile, 48), q = v128.load32_splat(x0, 4)
      i0 = dot(i0, w0, q), i1 = dot(i1, w1, q), q = v128.load32_splat(x1, 4)
      j0 = dot(j0, w0, q), j1 = dot(j1, w1, q), q = v128.load32_splat(x2, 4)
      k0 = dot(k0, w0, q), k1 = dot(k1, w1, q), q = v128.load32_splat(x3, 4)
      l0 = dot(l0, w0, q), l1 = dot(l1, w1, q)
      w0 = v128.load(tile, 64), w1 = v128.load(tile, 80), q = v128.load32_splat(x0, 8)
      i0 = dot(i0, w0, q), i1 = dot(i1, w1, q), q = v128.load32_splat(x1, 8)
      j0 = dot(j0, w0, q), j1 = dot(j1, w1, q), q = v128.load32_splat(x2, 8)
      k0 = dot(k0, w0, q), k1 = dot(k1, w1, q), q = v128.load32_splat(x3, 8)
      l0 = dot(l0, w0, q), l1 = dot(l1, w1, q)
      w0 = v128.load(tile, 96), w1 = v128.load(tile, 112), q = v128.load32_splat(x0, 12)
      i0 = dot(i0, w0, q), i1 = dot(i1, w1, q), q = v128.load32_splat(x1, 12)
      j0 = dot(j0, w0, q), j1 = dot(j1, w1, q), q = v128.load32_splat(x2, 12)
      k0 = dot(k0, w0, q), k1 = dot(k1, w1, q), q = v128.load32_splat(x3, 12)
      l0 = dot(l0, w0, q), l1 = dot(l1, w1, q)
      tile += 128, x0 += 16, x1 += 16, x2 += 16, x3 += 16
    }
    a0 = add(a0, i0, constants, block, minima), a1 = add(a1, i1, constants + 16, block, minima)
    let t = block + blocks
    b0 = add(b0, j0, constants, t, minima), b1 = add(b1, j1, constants + 16, t, minima)
    t += blocks
    c0 = add(c0, k0, constants, t, minima), c1 = add(c1, k1, constants + 16, t, minima)
    t += blocks
    e0 = add(e0, l0, constants, t, minima), e1 = add(e1, l1, constants + 16, t, minima)
    constants += record
    block += 16
  }
  v128.store(sums, a0), v128.store(sums, a1, 16), v128.store(s1, b0), v128.store(s1, b1, 16)
  v128.store(s2, c0), v128.store(s2, c1, 16), v128.store(s3, e0), v128.store(s3, e1, 16)
}

/** Four tokens, 8 rows: see `four`. packed: where the tile came from, for its constants. */
export function integerFour(sums: usize, rows: usize, tile: usize, packed: usize, code: usize, codes: usize, block: usize, blocks: usize, records: i32, layout: i32): void {
  const constants = packed + codeBytes(layout), record = recordBytes(layout)
  if (layout == Q4_1) four(sums, rows, tile, constants, record, code, codes, block, blocks, records, true)
  else four(sums, rows, tile, constants, record, code, codes, block, blocks, records, false)
}
