import { groupOf, keyScalesAt, valueScalesAt, widenGroup } from './groups'
import { F32, I16, keyOf, packCodes, strideOf, valueOf } from './segment'
import { mulAdd, sum4 } from './simd'
import { Work } from './work'

// Attention over a group of packed rows. With key = offset + scale × code per channel, query·key is a constant of the group, Σ query × offset, and
// the integer dot of the key's codes with codes of query × scale: the group's scales go into the query. A value is offset + scale × code
// per row: weight × scale becomes the weight's code as for i16 rows, and Σ weight × offset is added to every channel.

/** Largest code of a query that meets codes of at most 128: 128 channels of products sum to less than 2³¹. */
// @ts-ignore: decorator
@inline
const QUERY_CODE: f32 = 32767
/** 2^−112 */
// @ts-ignore: decorator
@inline
const SMALLEST_QUERY: f32 = 1.925929944387236e-34

/** Points w at a group's codes, widened, or at the tail's f32 rows. */
export function takeGroup(w: Work, segment: usize, r: i32): void {
  if (r >= load<i32>(segment, 4)) {
    w.type = F32
    w.bytes = w.wide
    w.queries = w.numbers
    w.factors = w.numberFactors
    w.keys = keyOf(segment, r, F32, w.headDim)
    w.values = valueOf(segment, r, F32, w.headDim)
    return
  }
  const group = groupOf(segment, r, w.stored, w.headDim)
  w.type = I16
  w.bytes = w.wide >> 1
  w.queries = w.groupCodes
  w.factors = w.groupFactors
  w.keys = w.tile
  w.values = w.tile + (w.bytes << 6)
  w.keyScales = w.ones
  w.valueScales = valueScalesAt(group, w.stored, w.headDim)
  w.valueOffsets = w.valueScales + 256
  widenGroup(group, w.keys, w.values, w.stored, w.headDim)
  codeQueries(w, keyScalesAt(group, w.stored, w.headDim))
}

/** Codes of query × scale, their factors and the constants of the queries' scores. The place of turned keys holds the products meanwhile. */
function codeQueries(w: Work, scales: usize): void {
  const wide = w.wide, stride = strideOf(w.headDim)
  for (let i: usize = 0, query = w.numbers; i < <usize>w.n; i++, query += wide) {
    const factor = load<f32>(w.numberFactors + (i << 2))
    let sum = f32x4.splat(0)
    for (let c: usize = 0; c < wide; c += 16) {
      const q = v128.load(query + c)
      sum = mulAdd(q, v128.load(scales + wide + c), sum)
      v128.store(w.turned + c, f32x4.mul(q, v128.load(scales + c)))
    }
    store<f32>(w.constants + (i << 2), sum4(sum) * factor)
    store<f32>(w.groupFactors + (i << 2), packCodes(w.turned, w.groupCodes + i * w.bytes, stride, stride, QUERY_CODE, SMALLEST_QUERY) * factor)
  }
}

/** scores [width] += x. */
export function addConstant(scores: usize, width: i32, x: f32): void {
  const by = f32x4.splat(x)
  for (const end = scores + (<usize>width << 2); scores < end; scores += 16) v128.store(scores, f32x4.add(v128.load(scores), by))
}

/** Σ weight × value offset of a group. */
export function offsetOf(weights: usize, offsets: usize): f32 {
  let sum = f32x4.splat(0)
  for (let i: usize = 0; i < 256; i += 16) sum = mulAdd(v128.load(weights + i), v128.load(offsets + i), sum)
  return sum4(sum)
}
