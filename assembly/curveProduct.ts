import { curveCodes } from './packed'
import { dot } from './integerProduct'

// Products of activation codes with IQ4_NL's layout: a swizzle makes the i8 of Q8_0 from nibbles. The same sum as in integerProduct.ts.

let sink = 0

/** tile [records] widened. */
export function widenCurve(tile: usize, packed: usize, records: i32): void {
  const curve = curveCodes(), mask = i8x16.splat(15)
  for (let b = 0; b < records; b++, packed += 32)
    for (let g = 0; g < 8; g++, packed += 16, tile += 64) {
      const w = v128.load(packed)
      const even = i8x16.swizzle(curve, v128.and(w, mask)), odd = i8x16.swizzle(curve, v128.and(i16x8.shr_u(w, 4), mask))
      v128.store(tile, i16x8.extend_low_i8x16_s(even))
      v128.store(tile, i16x8.extend_high_i8x16_s(even), 16)
      v128.store(tile, i16x8.extend_low_i8x16_s(odd), 32)
      v128.store(tile, i16x8.extend_high_i8x16_s(odd), 48)
    }
}

/** One token, 8 rows, straight from nibbles. */
export function oneCurve(sums: usize, packed: usize, code: usize, block: usize, records: i32, ahead: usize): void {
  let touched = 0
  const curve = curveCodes(), mask = i8x16.splat(15)
  let a0 = v128.load(sums), a1 = v128.load(sums, 16)
  for (let b = 0; b < records; b++) {
    let i0 = i32x4.splat(0), i1 = i0, j0 = i0, j1 = i0
    const next = packed + ahead, end = packed + 128
    touched ^= load<i32>(next) ^ load<i32>(next, 64) ^ load<i32>(next, 128)
    do {
      const w = v128.load(packed)
      let q = v128.load32_splat(code)
      let bytes = i8x16.swizzle(curve, v128.and(w, mask))
      i0 = dot(i0, i16x8.extend_low_i8x16_s(bytes), q)
      i1 = dot(i1, i16x8.extend_high_i8x16_s(bytes), q)
      q = v128.load32_splat(code, 4)
      bytes = i8x16.swizzle(curve, v128.and(i16x8.shr_u(w, 4), mask))
      j0 = dot(j0, i16x8.extend_low_i8x16_s(bytes), q)
      j1 = dot(j1, i16x8.extend_high_i8x16_s(bytes), q)
      packed += 16
      code += 8
    } while (packed != end)
    const scale = v128.load32_splat(block)
    a0 = f32x4.add(a0, f32x4.mul(f32x4.mul(f32x4.convert_i32x4_s(i32x4.add(i0, j0)), v128.load(packed)), scale))
    a1 = f32x4.add(a1, f32x4.mul(f32x4.mul(f32x4.convert_i32x4_s(i32x4.add(i1, j1)), v128.load(packed, 16)), scale))
    packed += 32
    block += 16
  }
  v128.store(sums, a0)
  v128.store(sums, a1, 16)
  sink = touched
}
