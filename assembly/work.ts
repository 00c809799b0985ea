import { takeQuery } from './dots'
import { keyNumbers, valueNumbers } from './groups'
import { takeGroup } from './groupTile'
import { F32, I16, keyOf, keyScaleOf, Q8, tailType, valueOf, valueScaleOf, vectorBytes } from './segment'

/** Where a block keeps what it works on, in its scratch. Queries are those of token 0's heads, then token 1's. */
@unmanaged
export class Work {
  /** Of the tile at hand: of packed rows, whole groups come as i16 codes, tails and lists as f32. */
  type: i32
  /** Of the cache. */
  stored: i32
  headDim: i32
  /** Queries per token. */
  heads: i32
  n: i32
  /** Scores become cap × tanh(score / cap), 0: they stay; newest rows that a query sees, 0: all. */
  cap: f32
  window: i32
  /** Bytes of a key or a value; of a row of o. */
  bytes: usize
  wide: usize
  /** Codes or padded f32 [n, bytes]; query scale × softmax scale [n] f32. */
  queries: usize
  factors: usize
  /** Chunk, then total: maxima and sums [n] f32 with room for three more, weighted values [n, wide] f32. */
  most: usize
  sum: usize
  o: usize
  allMost: usize
  allSum: usize
  allO: usize
  /** Of four queries: weights [4, 64] f32, then [4] f32 each. */
  weights: usize
  tileMost: usize
  tileSum: usize
  keep: usize
  take: usize
  /** Of i16 rows: weights as codes [4, 64] i16 and their steps [4] f32. */
  codes: usize
  steps: usize
  /** The tile. Listed rows are copied to scratch. */
  keys: usize
  values: usize
  keyScales: usize
  valueScales: usize
  /** The tile's keys turned for many queries, see turned.ts. */
  turned: usize
  /** Of packed rows: room for a tile's keys, then its values; the queries as numbers [n, wide] and their factor; see groupTile.ts. */
  tile: usize
  numbers: usize
  numberFactors: usize
  groupCodes: usize
  groupFactors: usize
  constants: usize
  valueOffsets: usize
  /** Of four queries: what a group's value offsets add to every channel. */
  shifts: usize
  ones: usize
  /** Where what is read for its cache line alone goes. */
  sink: i32
}

/** Cuts the scratch. `scratchBytes` in src/kernels/scratch.ts counts the same pieces. */
export function plan(scratch: usize, type: i32, headDim: i32, heads: i32, n: i32): Work {
  const w = changetype<Work>(scratch)
  const packed = type >= Q8, bytes = vectorBytes(tailType(type), headDim), wide = vectorBytes(F32, headDim), many = <usize>n, lanes = (many + 4) << 2
  let at = (scratch + offsetof<Work>() + 63) & ~63
  w.type = tailType(type); w.stored = type; w.headDim = headDim; w.heads = heads; w.n = n; w.bytes = bytes; w.wide = wide
  w.weights = at; at += 1024
  w.tileMost = at; at += 16
  w.tileSum = at; at += 16
  w.keep = at; at += 16
  w.take = at; at += 16
  w.codes = at; at += 512
  w.steps = at; at += 16
  w.shifts = at; at += 16
  w.tile = at
  w.keys = at; at += 64 * bytes
  w.values = at; at += 64 * bytes
  w.turned = at; at += 64 * bytes
  w.keyScales = at; at += 256
  w.valueScales = at; at += 256
  w.factors = at; at += lanes
  w.most = at; at += lanes
  w.sum = at; at += lanes
  w.allMost = at; at += lanes
  w.allSum = at; at += lanes
  w.queries = at; at += many * bytes
  w.o = at; at += many * wide
  w.allO = at; at += many * wide
  if (packed) {
    w.numbers = w.queries
    w.numberFactors = w.factors
    w.groupCodes = at; at += many * (wide >> 1)
    w.groupFactors = at; at += lanes
    w.constants = at; at += lanes
    w.ones = at
    for (let i: usize = 0; i < 256; i += 16) v128.store(at + i, f32x4.splat(1))
  }
  clear(w.allMost, w.allSum, w.allO, w)
  return w
}

export function clear(most: usize, sum: usize, o: usize, w: Work): void {
  for (let i: usize = 0, end = <usize>w.n << 2; i < end; i += 4) store<f32>(most + i, -Infinity)
  memory.fill(sum, 0, <usize>w.n << 2)
  memory.fill(o, 0, <usize>w.n * w.wide)
}

/** query: token by token, `heads` heads each of which this block has the first w.heads. */
export function takeQueries(w: Work, query: usize, heads: i32, scale: f32): void {
  const headBytes = <usize>w.headDim << 2
  let to = w.queries, factor = w.factors
  for (let t = 0; t < w.n; t += w.heads, query += <usize>heads * headBytes)
    for (let h = 0, from = query; h < w.heads; h++, from += headBytes, to += w.bytes, factor += 4)
      takeQuery(from, to, factor, w.headDim, w.type, scale)
}

/** The tile that starts at row r, where it lies. */
export function pointTile(w: Work, segment: usize, r: i32): void {
  if (w.stored >= Q8) return takeGroup(w, segment, r)
  w.keys = keyOf(segment, r, w.type, w.headDim)
  w.values = valueOf(segment, r, w.type, w.headDim)
  if (w.type == I16) {
    w.keyScales = keyScaleOf(segment, r, w.type, w.headDim)
    w.valueScales = valueScaleOf(segment, r, w.type, w.headDim)
  }
}

/** A whole key or value: engines call out for memory.copy, which costs more than the copy. */
// @ts-ignore: decorator
@inline
function copyVector(to: usize, from: usize, bytes: usize): void {
  for (let c: usize = 0; c < bytes; c += 32) {
    v128.store(to + c, v128.load(from + c))
    v128.store(to + c, v128.load(from + c, 16), 16)
  }
}

/** Listed rows, side by side. */
export function copyTile(w: Work, segment: usize, list: usize, n: i32): void {
  for (let i: usize = 0; i < <usize>n; i++, list += 4) {
    const row = load<i32>(list)
    if (w.stored >= Q8) {
      keyNumbers(segment, row, w.stored, w.headDim, w.keys + i * w.bytes)
      valueNumbers(segment, row, w.stored, w.headDim, w.values + i * w.bytes)
      continue
    }
    copyVector(w.keys + i * w.bytes, keyOf(segment, row, w.type, w.headDim), w.bytes)
    copyVector(w.values + i * w.bytes, valueOf(segment, row, w.type, w.headDim), w.bytes)
    if (w.type == I16) {
      store<f32>(w.keyScales + (i << 2), load<f32>(keyScaleOf(segment, row, w.type, w.headDim)))
      store<f32>(w.valueScales + (i << 2), load<f32>(valueScaleOf(segment, row, w.type, w.headDim)))
    }
  }
}

/** Reads from each cache line of the tile's values and of the next tile's keys, so that they come while scores are made. */
export function touchTiles(w: Work, keys: usize): void {
  let x = 0
  for (let k = keys, v = w.values, end = k + 64 * w.bytes; k < end; k += 128, v += 128)
    x ^= load<i32>(k) ^ load<i32>(k, 64) ^ load<i32>(v) ^ load<i32>(v, 64)
  w.sink = x
}
