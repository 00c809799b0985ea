import { F32, I16, packRow, strideOf, vectorBytes } from './segment'
import { mulAdd, sums4, sums4i } from './simd'

// Scores of up to four queries against the keys of a tile: a key is loaded once for two queries. i16 codes are summed as
// integers over at most 128 channels (4095 × 4095 × 128 < 2^31), the sums added as f32; f32 products are added lane by lane,
// channels ascending, and the four lanes as `sums4` does. So a score has the same bits whatever shares its loads.

/** Where what is read for its cache line alone goes. */
let sink = 0

/** Bytes of 128 i16 channels. */
// @ts-ignore: decorator
@inline
const EXACT: usize = 256

/** A query [headDim] f32 as `scoreTile` reads it: codes or padded f32 at `to`, the factor of its scores at `factor`. */
export function takeQuery(query: usize, to: usize, factor: usize, headDim: i32, type: i32, scale: f32): void {
  if (type == I16) {
    store<f32>(factor, packRow(query, to, headDim, strideOf(headDim)) * scale)
  } else {
    memory.copy(to, query, <usize>headDim << 2)
    memory.fill(to + (<usize>headDim << 2), 0, vectorBytes(F32, headDim) - (<usize>headDim << 2))
    store<f32>(factor, scale)
  }
}

/**
 * out [n queries, step bytes] f32: scores against `rows` keys, in fours: up to three more are read and written. n is 1 … 4.
 * near, next: two other tiles' keys or values, 0 for none, whose cache lines pairs of queries bring in on their way where rows are i16.
 * queries: codes [n, bytes] with factors [n] f32 (query scale × softmax scale), or f32; keys [rows, bytes], scales [rows] f32 (i16).
 */
export function scoreTile(queries: usize, factors: usize, n: i32, keys: usize, scales: usize, rows: i32, bytes: usize, type: i32, out: usize, step: usize, near: usize, next: usize): void {
  let i = 0
  for (; i + 2 <= n; i += 2, queries += 2 * bytes, factors += 8, out += 2 * step) {
    if (type != I16) pairF32(queries, factors, keys, rows, bytes, out, step)
    else pairI16(queries, factors, keys, scales, rows, bytes, out, step, i || !near ? keys : near, i || !near ? keys : next)
  }
  if (i == n) return
  if (type == I16) oneI16(queries, factors, keys, scales, rows, bytes, out)
  else oneF32(queries, factors, keys, rows, bytes, out)
}

function pairI16(q: usize, factors: usize, keys: usize, scales: usize, rows: i32, bytes: usize, out: usize, step: usize, near: usize, next: usize): void {
  let touched = 0
  const f0 = v128.load32_splat(factors), f1 = v128.load32_splat(factors, 4)
  const zero = i32x4.splat(0)
  for (let i = 0; i < rows; i += 4, scales += 16, out += 16, keys += 4 * bytes) {
    for (const end = near + 4 * bytes; near < end; near += 64, next += 64) touched ^= load<i32>(near) ^ load<i32>(next)
    let s0 = zero, s1 = zero
    for (let c: usize = 0; c < bytes; ) {
      let a0 = zero, a1 = zero, a2 = zero, a3 = zero, b0 = zero, b1 = zero, b2 = zero, b3 = zero
      for (const end = min(bytes, c + EXACT); c < end; c += 32) {
        const p = q + c, k0 = keys + c, k1 = k0 + bytes, k2 = k1 + bytes, k3 = k2 + bytes
        let x = v128.load(p), y = v128.load(p + bytes)
        let k = v128.load(k0); a0 = i32x4.add(a0, i32x4.dot_i16x8_s(k, x)); b0 = i32x4.add(b0, i32x4.dot_i16x8_s(k, y))
        k = v128.load(k1); a1 = i32x4.add(a1, i32x4.dot_i16x8_s(k, x)); b1 = i32x4.add(b1, i32x4.dot_i16x8_s(k, y))
        k = v128.load(k2); a2 = i32x4.add(a2, i32x4.dot_i16x8_s(k, x)); b2 = i32x4.add(b2, i32x4.dot_i16x8_s(k, y))
        k = v128.load(k3); a3 = i32x4.add(a3, i32x4.dot_i16x8_s(k, x)); b3 = i32x4.add(b3, i32x4.dot_i16x8_s(k, y))
        x = v128.load(p, 16); y = v128.load(p + bytes, 16)
        k = v128.load(k0, 16); a0 = i32x4.add(a0, i32x4.dot_i16x8_s(k, x)); b0 = i32x4.add(b0, i32x4.dot_i16x8_s(k, y))
        k = v128.load(k1, 16); a1 = i32x4.add(a1, i32x4.dot_i16x8_s(k, x)); b1 = i32x4.add(b1, i32x4.dot_i16x8_s(k, y))
        k = v128.load(k2, 16); a2 = i32x4.add(a2, i32x4.dot_i16x8_s(k, x)); b2 = i32x4.add(b2, i32x4.dot_i16x8_s(k, y))
        k = v128.load(k3, 16); a3 = i32x4.add(a3, i32x4.dot_i16x8_s(k, x)); b3 = i32x4.add(b3, i32x4.dot_i16x8_s(k, y))
      }
      s0 = f32x4.add(s0, f32x4.convert_i32x4_s(sums4i(a0, a1, a2, a3)))
      s1 = f32x4.add(s1, f32x4.convert_i32x4_s(sums4i(b0, b1, b2, b3)))
    }
    const scale = v128.load(scales)
    v128.store(out, f32x4.mul(f32x4.mul(s0, scale), f0))
    v128.store(out + step, f32x4.mul(f32x4.mul(s1, scale), f1))
  }
  sink = touched
}

function oneI16(q: usize, factors: usize, keys: usize, scales: usize, rows: i32, bytes: usize, out: usize): void {
  const f0 = v128.load32_splat(factors)
  const zero = i32x4.splat(0)
  for (let i = 0; i < rows; i += 4, scales += 16, out += 16, keys += 4 * bytes) {
    let s0 = zero
    for (let c: usize = 0; c < bytes; ) {
      let a0 = zero, a1 = zero, a2 = zero, a3 = zero
      for (const end = min(bytes, c + EXACT); c < end; c += 32) {
        const k0 = keys + c, k1 = k0 + bytes, k2 = k1 + bytes, k3 = k2 + bytes
        const x = v128.load(q + c), y = v128.load(q + c, 16)
        a0 = i32x4.add(a0, i32x4.add(i32x4.dot_i16x8_s(v128.load(k0), x), i32x4.dot_i16x8_s(v128.load(k0, 16), y)))
        a1 = i32x4.add(a1, i32x4.add(i32x4.dot_i16x8_s(v128.load(k1), x), i32x4.dot_i16x8_s(v128.load(k1, 16), y)))
        a2 = i32x4.add(a2, i32x4.add(i32x4.dot_i16x8_s(v128.load(k2), x), i32x4.dot_i16x8_s(v128.load(k2, 16), y)))
        a3 = i32x4.add(a3, i32x4.add(i32x4.dot_i16x8_s(v128.load(k3), x), i32x4.dot_i16x8_s(v128.load(k3, 16), y)))
      }
      s0 = f32x4.add(s0, f32x4.convert_i32x4_s(sums4i(a0, a1, a2, a3)))
    }
    v128.store(out, f32x4.mul(f32x4.mul(s0, v128.load(scales)), f0))
  }
}

function pairF32(q: usize, factors: usize, keys: usize, rows: i32, bytes: usize, out: usize, step: usize): void {
  const f0 = v128.load32_splat(factors), f1 = v128.load32_splat(factors, 4)
  const zero = f32x4.splat(0)
  for (let i = 0; i < rows; i += 4, out += 16, keys += 4 * bytes) {
    let a0 = zero, a1 = zero, a2 = zero, a3 = zero, b0 = zero, b1 = zero, b2 = zero, b3 = zero
    for (let c: usize = 0; c < bytes; c += 32) {
      const p = q + c, k0 = keys + c, k1 = k0 + bytes, k2 = k1 + bytes, k3 = k2 + bytes
      let x = v128.load(p), y = v128.load(p + bytes)
      let k = v128.load(k0); a0 = mulAdd(k, x, a0); b0 = mulAdd(k, y, b0)
      k = v128.load(k1); a1 = mulAdd(k, x, a1); b1 = mulAdd(k, y, b1)
      k = v128.load(k2); a2 = mulAdd(k, x, a2); b2 = mulAdd(k, y, b2)
      k = v128.load(k3); a3 = mulAdd(k, x, a3); b3 = mulAdd(k, y, b3)
      x = v128.load(p, 16); y = v128.load(p + bytes, 16)
      k = v128.load(k0, 16); a0 = mulAdd(k, x, a0); b0 = mulAdd(k, y, b0)
      k = v128.load(k1, 16); a1 = mulAdd(k, x, a1); b1 = mulAdd(k, y, b1)
      k = v128.load(k2, 16); a2 = mulAdd(k, x, a2); b2 = mulAdd(k, y, b2)
      k = v128.load(k3, 16); a3 = mulAdd(k, x, a3); b3 = mulAdd(k, y, b3)
    }
    v128.store(out, f32x4.mul(sums4(a0, a1, a2, a3), f0))
    v128.store(out + step, f32x4.mul(sums4(b0, b1, b2, b3), f1))
  }
}

function oneF32(q: usize, factors: usize, keys: usize, rows: i32, bytes: usize, out: usize): void {
  const f0 = v128.load32_splat(factors)
  const zero = f32x4.splat(0)
  for (let i = 0; i < rows; i += 4, out += 16, keys += 4 * bytes) {
    let a0 = zero, a1 = zero, a2 = zero, a3 = zero
    for (let c: usize = 0; c < bytes; c += 16) {
      const k0 = keys + c, k1 = k0 + bytes, k2 = k1 + bytes, k3 = k2 + bytes
      const x = v128.load(q + c)
      a0 = mulAdd(v128.load(k0), x, a0)
      a1 = mulAdd(v128.load(k1), x, a1)
      a2 = mulAdd(v128.load(k2), x, a2)
      a3 = mulAdd(v128.load(k3), x, a3)
    }
    v128.store(out, f32x4.mul(sums4(a0, a1, a2, a3), f0))
  }
}
