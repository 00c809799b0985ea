import { Q2_K, Q3_K, Q6_K, codeBytes, nibbleMask, recordBytes } from './packed'
import { WIDE, dot } from './integerProduct'

// Products of activation codes with layouts of six bits, and with those whose constants are for 16 columns. Per record, or half a
// record, ascending, the same sum as in integerProduct.ts; Σ code of a half is exact in f32, and so is s times that.

let sink = 0

/** Six bits in 16-bit places: from bit 0, from bit 6, and bits 4 and 5 alone. */
const masks = memory.data<u32>([
  0x003f003f, 0x003f003f, 0x003f003f, 0x003f003f, 0x0fc00fc0, 0x0fc00fc0, 0x0fc00fc0, 0x0fc00fc0, 0x00300030, 0x00300030, 0x00300030, 0x00300030,
], 16)

/** sum + what `integers` of one step add to four rows. scale, and scaled, s times the sum of the step's activation codes, in all lanes. */
// @ts-ignore: decorator
@inline
function add(sum: v128, integers: v128, constants: usize, scale: v128, scaled: v128, minima: bool): v128 {
  const product = f32x4.mul(f32x4.mul(f32x4.convert_i32x4_s(integers), v128.load(constants)), scale)
  if (minima) return f32x4.add(sum, f32x4.add(product, f32x4.mul(v128.load(constants, 32), scaled)))
  return f32x4.add(sum, product)
}

/** Σ of the activation codes of a half, in all lanes. */
// @ts-ignore: decorator
@inline
function halfSum(block: usize, half: usize): v128 {
  const first = v128.load32_splat(block, 12)
  return half ? i32x4.sub(v128.load32_splat(block, 8), first) : first
}

/** tile [records] widened; six bits as n − zero. */
export function widenSix(tile: usize, packed: usize, records: i32, layout: i32): void {
  const low = v128.load(masks), upper = v128.load(masks, 32), zero = i16x8.splat(layout == Q6_K ? 32 : 0)
  const rest = recordBytes(layout) - codeBytes(layout)
  for (let b = 0; b < records; b++, packed += rest)
    for (let part = 0; part < 4; part++, tile += 16) {
      const x = v128.load(packed), y = v128.load(packed, 32), z = v128.load(packed, 64)
      v128.store(tile, i16x8.sub(v128.and(x, low), zero))
      v128.store(tile, i16x8.sub(v128.and(i16x8.shr_u(x, 6), low), zero), 32)
      v128.store(tile, i16x8.sub(v128.and(y, low), zero), 64)
      v128.store(tile, i16x8.sub(v128.and(i16x8.shr_u(y, 6), low), zero), 96)
      v128.store(tile, i16x8.sub(v128.and(z, low), zero), 128)
      v128.store(tile, i16x8.sub(v128.and(i16x8.shr_u(z, 6), low), zero), 160)
      v128.store(tile, i16x8.sub(v128.or(i16x8.shr_u(x, 12), v128.and(i16x8.shr_u(z, 8), upper)), zero), 192)
      v128.store(tile, i16x8.sub(v128.or(i16x8.shr_u(y, 12), v128.and(i16x8.shr_u(z, 10), upper)), zero), 224)
      // Rows 0 to 3, rows 4 to 7, then the other 16 columns.
      packed += part & 1 ? 80 : 16
      if (part & 1) tile += 224
    }
}

/**
 * One token, 8 rows, straight from six bits. Those from bit 6 on are 64 times too large where they stand: at most
 * 12 × 64 × 63 × 32639 < 2³¹ a record.
 */
// @ts-ignore: decorator
@inline
function oneSix(sums: usize, packed: usize, code: usize, block: usize, records: i32, halves: bool, ahead: usize): void {
  let touched = 0
  const low = v128.load(masks), high = v128.load(masks, 16), upper = v128.load(masks, 32)
  let a0 = v128.load(sums), a1 = v128.load(sums, 16)
  for (let b = 0; b < records; b++) {
    const next = packed + ahead
    touched ^= load<i32>(next) ^ load<i32>(next, 64) ^ load<i32>(next, 128) ^ load<i32>(next, 192)
    const scale = v128.load32_splat(block)
    let constants = packed + 192
    let i0 = i32x4.splat(0), i1 = i0, j0 = i0, j1 = i0
    for (let half: usize = 0; half < 2; half++) {
      const x0 = v128.load(packed), x1 = v128.load(packed, 16)
      let q = v128.load32_splat(code)
      i0 = dot(i0, v128.and(x0, low), q), i1 = dot(i1, v128.and(x1, low), q), q = v128.load32_splat(code, 4)
      j0 = dot(j0, v128.and(x0, high), q), j1 = dot(j1, v128.and(x1, high), q), q = v128.load32_splat(code, 16)
      const z0 = v128.load(packed, 64), z1 = v128.load(packed, 80)
      i0 = dot(i0, v128.and(z0, low), q), i1 = dot(i1, v128.and(z1, low), q), q = v128.load32_splat(code, 20)
      j0 = dot(j0, v128.and(z0, high), q), j1 = dot(j1, v128.and(z1, high), q), q = v128.load32_splat(code, 24)
      i0 = dot(i0, v128.or(i16x8.shr_u(x0, 12), v128.and(i16x8.shr_u(z0, 8), upper)), q)
      i1 = dot(i1, v128.or(i16x8.shr_u(x1, 12), v128.and(i16x8.shr_u(z1, 8), upper)), q)
      q = v128.load32_splat(code, 28)
      const y0 = v128.load(packed, 32), y1 = v128.load(packed, 48)
      i0 = dot(i0, v128.or(i16x8.shr_u(y0, 12), v128.and(i16x8.shr_u(z0, 10), upper)), q)
      i1 = dot(i1, v128.or(i16x8.shr_u(y1, 12), v128.and(i16x8.shr_u(z1, 10), upper)), q)
      q = v128.load32_splat(code, 8)
      i0 = dot(i0, v128.and(y0, low), q), i1 = dot(i1, v128.and(y1, low), q), q = v128.load32_splat(code, 12)
      j0 = dot(j0, v128.and(y0, high), q), j1 = dot(j1, v128.and(y1, high), q)
      packed += 96
      code += 32
      if (halves) {
        const zeros = i32x4.shl(halfSum(block, half), 5)
        a0 = add(a0, i32x4.sub(i32x4.add(i0, i32x4.shr_s(j0, 6)), zeros), constants, scale, scale, false)
        a1 = add(a1, i32x4.sub(i32x4.add(i1, i32x4.shr_s(j1, 6)), zeros), constants + 16, scale, scale, false)
        constants += 32
        i0 = i32x4.splat(0), i1 = i0, j0 = i0, j1 = i0
      }
    }
    if (!halves) {
      const scaled = v128.load32_splat(block, 4)
      a0 = add(a0, i32x4.add(i0, i32x4.shr_s(j0, 6)), constants, scale, scaled, true)
      a1 = add(a1, i32x4.add(i1, i32x4.shr_s(j1, 6)), constants + 16, scale, scaled, true)
    }
    packed += 64
    block += 16
  }
  v128.store(sums, a0)
  v128.store(sums, a1, 16)
  sink = touched
}

/** The same from nibbles with constants for each half; nibbles as in integerProduct.ts. */
// @ts-ignore: decorator
@inline
function oneNibbleHalves(sums: usize, packed: usize, code: usize, block: usize, records: i32, minima: bool, ahead: usize): void {
  let touched = 0
  const m0 = nibbleMask(0), m1 = nibbleMask(1), m2 = nibbleMask(2)
  let a0 = v128.load(sums), a1 = v128.load(sums, 16)
  for (let b = 0; b < records; b++) {
    const next = packed + ahead
    touched ^= load<i32>(next) ^ load<i32>(next, 64) ^ load<i32>(next, 128)
    if (minima) touched ^= load<i32>(next, 192)
    const scale = v128.load32_splat(block)
    let constants = packed + 128
    for (let half: usize = 0; half < 2; half++) {
      let i0 = i32x4.splat(0), i1 = i0, j0 = i0, j1 = i0, k0 = i0, k1 = i0
      const end = packed + 64
      do {
        const w0 = v128.load(packed), w1 = v128.load(packed, 16)
        let q = v128.load32_splat(code)
        i0 = dot(i0, v128.and(w0, m0), q), i1 = dot(i1, v128.and(w1, m0), q), q = v128.load32_splat(code, 4)
        j0 = dot(j0, v128.and(w0, m1), q), j1 = dot(j1, v128.and(w1, m1), q), q = v128.load32_splat(code, 8)
        k0 = dot(k0, v128.and(w0, m2), q), k1 = dot(k1, v128.and(w1, m2), q), q = v128.load32_splat(code, 12)
        i0 = dot(i0, i16x8.shr_u(w0, 12), q), i1 = dot(i1, i16x8.shr_u(w1, 12), q)
        packed += 32
        code += 16
      } while (packed != end)
      i0 = i32x4.add(i0, i32x4.add(i32x4.shr_s(j0, 4), i32x4.shr_s(k0, 8)))
      i1 = i32x4.add(i1, i32x4.add(i32x4.shr_s(j1, 4), i32x4.shr_s(k1, 8)))
      const all = halfSum(block, half)
      if (minima) {
        const scaled = f32x4.mul(f32x4.convert_i32x4_s(all), scale)
        a0 = add(a0, i0, constants, scale, scaled, true)
        a1 = add(a1, i1, constants + 16, scale, scaled, true)
      } else {
        const zeros = i32x4.shl(all, 3)
        a0 = add(a0, i32x4.sub(i0, zeros), constants, scale, scale, false)
        a1 = add(a1, i32x4.sub(i1, zeros), constants + 16, scale, scale, false)
      }
      constants += minima ? 64 : 32
    }
    packed += minima ? 128 : 64
    block += 16
  }
  v128.store(sums, a0)
  v128.store(sums, a1, 16)
  sink = touched
}

/** One token, 8 rows, `records` records from packed, of Q5_1 and the layouts behind it. */
export function halfOne(sums: usize, packed: usize, code: usize, block: usize, records: i32, layout: i32, ahead: usize): void {
  if (layout == Q6_K) oneSix(sums, packed, code, block, records, true, ahead)
  else if (layout == Q3_K) oneNibbleHalves(sums, packed, code, block, records, false, ahead)
  else if (layout == Q2_K) oneNibbleHalves(sums, packed, code, block, records, true, ahead)
  else oneSix(sums, packed, code, block, records, false, ahead)
}

/** Adds the integers of half a record of 8 rows to sums [8]. */
// @ts-ignore: decorator
@inline
function keep(sums: usize, low: v128, high: v128, constants: usize, block: usize, half: usize, minima: bool): void {
  const scale = v128.load32_splat(block)
  const scaled = minima ? f32x4.mul(f32x4.convert_i32x4_s(halfSum(block, half)), scale) : scale
  v128.store(sums, add(v128.load(sums), low, constants, scale, scaled, minima))
  v128.store(sums, add(v128.load(sums, 16), high, constants + 16, scale, scaled, minima), 16)
}

/** Four tokens, 8 rows, a widened tile, as `integerFour` but with constants for each half of a record. */
export function halfFour(sums: usize, rows: usize, tile: usize, packed: usize, quad: usize, block: usize, blocks: usize, records: i32, layout: i32): void {
  const minima = layout == Q2_K, record = codeBytes(layout)
  const s1 = sums + rows, s2 = s1 + rows, s3 = s2 + rows
  for (let b = 0; b < records; b++) {
    packed += record
    const t1 = block + blocks, t2 = t1 + blocks, t3 = t2 + blocks
    for (let half: usize = 0; half < 2; half++) {
      let i0 = i32x4.splat(0), i1 = i0, j0 = i0, j1 = i0, k0 = i0, k1 = i0, l0 = i0, l1 = i0
      const end = tile + WIDE / 2
      do {
        const w0 = v128.load(tile), w1 = v128.load(tile, 16)
        let q = v128.load32_splat(quad)
        i0 = dot(i0, w0, q), i1 = dot(i1, w1, q), q = v128.load32_splat(quad, 4)
        j0 = dot(j0, w0, q), j1 = dot(j1, w1, q), q = v128.load32_splat(quad, 8)
        k0 = dot(k0, w0, q), k1 = dot(k1, w1, q), q = v128.load32_splat(quad, 12)
        l0 = dot(l0, w0, q), l1 = dot(l1, w1, q)
        tile += 32, quad += 16
      } while (tile != end)
      if (minima) {
        keep(sums, i0, i1, packed, block, half, true)
        keep(s1, j0, j1, packed, t1, half, true)
        keep(s2, k0, k1, packed, t2, half, true)
        keep(s3, l0, l1, packed, t3, half, true)
      } else {
        keep(sums, i0, i1, packed, block, half, false)
        keep(s1, j0, j1, packed, t1, half, false)
        keep(s2, k0, k1, packed, t2, half, false)
        keep(s3, l0, l1, packed, t3, half, false)
      }
      packed += minima ? 64 : 32
    }
    block += 16
  }
}
