import { BF16, F16, IQ4_NL, Q4_0, Q4_1, Q8_0, codeBytes, floats16, halves, minima, nibbleMask, recordBytes } from './packed'
import { WIDE, widen } from './integerProduct'

// Products of f32 activations with any layout. Weights become tiles [columns][8 rows] f32; F32 is packed as one already.
// Every 32 columns, ascending, in every kernel here alike: their products are added up from zero, then to the sum. One token
// goes through four such runs side by side, four tokens through one: the same bits.

/** Columns of a run. */
const RUN: i32 = 32

/** Columns c and c + 1 of four rows, side by side as i16, to tile rows c and c + 1 as f32. */
// @ts-ignore: decorator
@inline
function spread(tile: usize, pairs: v128, d: v128, m: v128, minima: bool): void {
  let even = f32x4.mul(f32x4.convert_i32x4_s(i32x4.shr_s(i32x4.shl(pairs, 16), 16)), d)
  let odd = f32x4.mul(f32x4.convert_i32x4_s(i32x4.shr_s(pairs, 16)), d)
  if (minima) even = f32x4.add(even, m), odd = f32x4.add(odd, m)
  v128.store(tile, even)
  v128.store(tile, odd, 32)
}

/** Nibbles to f32 as GGUF defines them: d × (n − 8), or d × n rounded, then + m. */
// @ts-ignore: decorator
@inline
function expandNibbles(tile: usize, packed: usize, records: i32, minima: bool): void {
  const mask = nibbleMask(0), zero = i16x8.splat(minima ? 0 : 8)
  for (let b = 0; b < records; b++, packed += minima ? 192 : 160) {
    const d0 = v128.load(packed, 128), d1 = v128.load(packed, 144)
    const m0 = minima ? v128.load(packed, 160) : d0, m1 = minima ? v128.load(packed, 176) : d1
    for (let p: usize = 0; p < 128; p += 32) {
      const w0 = v128.load(packed + p), w1 = v128.load(packed + p, 16)
      for (let shift = 0; shift < 16; shift += 4, tile += 64) {
        spread(tile, i16x8.sub(v128.and(i16x8.shr_u(w0, shift), mask), zero), d0, m0, minima)
        spread(tile + 16, i16x8.sub(v128.and(i16x8.shr_u(w1, shift), mask), zero), d1, m1, minima)
      }
    }
  }
}

function expandBytes(tile: usize, packed: usize, records: i32): void {
  for (let b = 0; b < records; b++, packed += 288) {
    const d0 = v128.load(packed, 256), d1 = v128.load(packed, 272)
    for (let p: usize = 0; p < 256; p += 16, tile += 64) {
      const w = v128.load(packed + p)
      spread(tile, i16x8.extend_low_i8x16_s(w), d0, d0, false)
      spread(tile + 16, i16x8.extend_high_i8x16_s(w), d1, d1, false)
    }
  }
}

/** The other integer layouts, by way of a widened record at `wide`. */
function expandWide(tile: usize, packed: usize, records: i32, layout: i32, wide: usize): void {
  const low = minima(layout), step: usize = (low ? 64 : 32) * usize(halves(layout))
  for (let b = 0; b < records; b++, packed += recordBytes(layout)) {
    widen(wide, packed, 1, layout)
    for (let p: usize = 0; p < WIDE; p += 32, tile += 64) {
      const constants = packed + codeBytes(layout) + (p < WIDE / 2 ? 0 : step)
      const d0 = v128.load(constants), d1 = v128.load(constants, 16)
      spread(tile, v128.load(wide + p), d0, low ? v128.load(constants, 32) : d0, low)
      spread(tile + 16, v128.load(wide + p, 16), d1, low ? v128.load(constants, 48) : d1, low)
    }
  }
}

/** tile [columns][8] f32 from packed columns of one group, any layout but F32. Behind it, 512 bytes of its own for some layouts. */
export function expand(tile: usize, packed: usize, columns: i32, layout: i32): void {
  if (layout == Q4_1) expandNibbles(tile, packed, columns >> 5, true)
  else if (layout == Q4_0) expandNibbles(tile, packed, columns >> 5, false)
  else if (layout == Q8_0) expandBytes(tile, packed, columns >> 5)
  else if (layout == F16) floats16(tile, packed, columns)
  else if (layout >= IQ4_NL) expandWide(tile, packed, columns >> 5, layout, tile + (<usize>columns << 5))
  else if (layout == BF16) for (let c = 0; c < columns; c++, packed += 16, tile += 32) {
    const w = v128.load(packed)
    v128.store(tile, i32x4.shl(i32x4.extend_low_i16x8_u(w), 16))
    v128.store(tile, i32x4.shl(i32x4.extend_high_i16x8_u(w), 16), 16)
  }
}

/** Bytes from packed column 0 of a group to column c, a multiple of 32. */
export function columnBytes(layout: i32, c: i32): usize {
  if (layout >= Q8_0) return <usize>(c >> 5) * recordBytes(layout)
  return <usize>c << (layout == 0 ? 5 : 4)
}

// @ts-ignore: decorator
@inline
function multiplyAdd(c: v128, w: v128, x: v128): v128 {
  return f32x4.add(c, f32x4.mul(w, x))
}

/** One token, 8 rows. sums [8] f32 are added to; tile [columns][8], x [columns]. */
export function floatOne(sums: usize, tile: usize, x: usize, columns: i32): void {
  let s0 = v128.load(sums), s1 = v128.load(sums, 16)
  const zero = f32x4.splat(0)
  let c = 0
  for (; c + 4 * RUN <= columns; c += 4 * RUN, tile += 3 * RUN * 32, x += 3 * RUN * 4) {
    let a0 = zero, a1 = zero, b0 = zero, b1 = zero, c0 = zero, c1 = zero, e0 = zero, e1 = zero
    const end = tile + (RUN << 5)
    do {
      let q = v128.load32_splat(x)
      a0 = multiplyAdd(a0, v128.load(tile), q), a1 = multiplyAdd(a1, v128.load(tile, 16), q), q = v128.load32_splat(x, 128)
      b0 = multiplyAdd(b0, v128.load(tile, 1024), q), b1 = multiplyAdd(b1, v128.load(tile, 1040), q), q = v128.load32_splat(x, 256)
      c0 = multiplyAdd(c0, v128.load(tile, 2048), q), c1 = multiplyAdd(c1, v128.load(tile, 2064), q), q = v128.load32_splat(x, 384)
      e0 = multiplyAdd(e0, v128.load(tile, 3072), q), e1 = multiplyAdd(e1, v128.load(tile, 3088), q)
      tile += 32, x += 4
    } while (tile != end)
    s0 = f32x4.add(f32x4.add(f32x4.add(f32x4.add(s0, a0), b0), c0), e0)
    s1 = f32x4.add(f32x4.add(f32x4.add(f32x4.add(s1, a1), b1), c1), e1)
  }
  while (c < columns) {
    let a0 = zero, a1 = zero
    for (const end = min(c + RUN, columns); c < end; c++, tile += 32, x += 4) {
      const q = v128.load32_splat(x)
      a0 = multiplyAdd(a0, v128.load(tile), q), a1 = multiplyAdd(a1, v128.load(tile, 16), q)
    }
    s0 = f32x4.add(s0, a0), s1 = f32x4.add(s1, a1)
  }
  v128.store(sums, s0)
  v128.store(sums, s1, 16)
}

/** Four tokens, 8 rows. sums [4][8] f32, `rows` bytes apart, are added to; tile [columns][8], x [4][columns], `stride` bytes apart. */
export function floatFour(sums: usize, rows: usize, tile: usize, x0: usize, stride: usize, columns: i32): void {
  const zero = f32x4.splat(0)
  const s1 = sums + rows, s2 = s1 + rows, s3 = s2 + rows
  let x1 = x0 + stride, x2 = x1 + stride, x3 = x2 + stride
  for (let c = 0; c < columns;) {
    let a0 = zero, a1 = zero, b0 = zero, b1 = zero, c0 = zero, c1 = zero, e0 = zero, e1 = zero
    const next = min(c + RUN, columns), end = tile + (<usize>(next - c) << 5)
    c = next
    do {
      const w0 = v128.load(tile), w1 = v128.load(tile, 16)
      let q = v128.load32_splat(x0)
      a0 = multiplyAdd(a0, w0, q), a1 = multiplyAdd(a1, w1, q), q = v128.load32_splat(x1)
      b0 = multiplyAdd(b0, w0, q), b1 = multiplyAdd(b1, w1, q), q = v128.load32_splat(x2)
      c0 = multiplyAdd(c0, w0, q), c1 = multiplyAdd(c1, w1, q), q = v128.load32_splat(x3)
      e0 = multiplyAdd(e0, w0, q), e1 = multiplyAdd(e1, w1, q)
      tile += 32, x0 += 4, x1 += 4, x2 += 4, x3 += 4
    } while (tile != end)
    v128.store(sums, f32x4.add(v128.load(sums), a0)), v128.store(sums, f32x4.add(v128.load(sums, 16), a1), 16)
    v128.store(s1, f32x4.add(v128.load(s1), b0)), v128.store(s1, f32x4.add(v128.load(s1, 16), b1), 16)
    v128.store(s2, f32x4.add(v128.load(s2), c0)), v128.store(s2, f32x4.add(v128.load(s2, 16), c1), 16)
    v128.store(s3, f32x4.add(v128.load(s3), e0)), v128.store(s3, f32x4.add(v128.load(s3, 16), e1), 16)
  }
}
