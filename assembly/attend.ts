import { scoreTile } from './dots'
import { setCost, tokens } from './registers'
import { countOf, I16, keyOf, keyScaleOf, packRow, segmentOf, strideOf, valueOf, valueScaleOf, vectorBytes } from './segment'
import { codeWeights, merge4, tileSoftmax } from './softmax'
import { mergeAt, weighF32, weighI16 } from './weigh'

// attend | out | query | segments | rows | counts | sets | capacity | heads | kvHeads | headDim | type | scale |
//
// Rows are read in tiles of 64. For each query a tile gives a maximum m, a sum s of e^(score − m) and the weighted values o,
// from zero; 16 tiles, ascending, merge into a chunk, and chunks, ascending, into the total. A query's bits depend on its rows
// alone: not on the batch, the block, or who else reads the tile.

/** Rows of a chunk. */
// @ts-ignore: decorator
@inline
const CHUNK: i32 = 1024
/** Multiply-adds of one block, in thousands, where the shape allows: about 4 ms. */
// @ts-ignore: decorator
@inline
const BLOCK_COST: i32 = 64_000
/** Queries of a block: at least and at most, where the group allows. src/kernels/scratch.ts relies on the latter. */
// @ts-ignore: decorator
@inline
const FEWEST: i32 = 16
// @ts-ignore: decorator
@inline
const MOST: i32 = 128

/** Where a block keeps what it works on, in its scratch. Queries are those of token 0's heads, then token 1's. */
@unmanaged
class Work {
  type: i32
  headDim: i32
  /** Queries per token. */
  heads: i32
  n: i32
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
}

/** Rows that the longest KV head's newest query sees. */
function longest(a: usize): i32 {
  const sets = load<i32>(a, 20), listed = load<usize>(a, 12), counts = load<usize>(a, 16)
  let rows = 0
  if (listed) for (let s = 0; s < sets; s++) rows = max(rows, load<i32>(counts + (<usize>s << 2)))
  else for (let h = 0, n = load<i32>(a, 32); h < n; h++) rows = max(rows, countOf(segmentOf(load<usize>(a, 8), h)) + tokens())
  return rows
}

/** Tokens of one block. */
function tokenTile(a: usize): i32 {
  const group = load<i32>(a, 28) / load<i32>(a, 32)
  const each = <i32>(<i64>longest(a) * 2 * load<i32>(a, 36) * group / 1000) + 1
  return max(1, min(MOST / group, max((FEWEST + group - 1) / group, BLOCK_COST / each)))
}

export function attendBlocks(a: usize): i32 {
  const group = load<i32>(a, 28) / load<i32>(a, 32)
  const tile = load<usize>(a, 12) ? 1 : tokenTile(a)
  setCost(<i32>(<i64>longest(a) * 2 * load<i32>(a, 36) * group * min(tile, tokens()) / 1000))
  if (load<usize>(a, 12)) return load<i32>(a, 20)
  return load<i32>(a, 32) * ((tokens() + tile - 1) / tile)
}

/** Block: some tokens of one KV head, all tokens of one head before the next one's; or one set of listed rows. */
export function attend(a: usize, block: i32, scratch: usize): void {
  const listed = load<usize>(a, 12), sets = load<i32>(a, 20), capacity = load<i32>(a, 24)
  const heads = load<i32>(a, 28), kvHeads = load<i32>(a, 32), headDim = load<i32>(a, 36), type = load<i32>(a, 40)
  const group = heads / kvHeads
  const perHead = listed != 0 && sets != kvHeads
  const tile = listed ? 1 : tokenTile(a)
  const tiles = listed ? 1 : (tokens() + tile - 1) / tile
  const kvHead = perHead ? block / group : block / tiles
  const first = block % tiles * tile
  const each = perHead ? 1 : group
  const n = min(tile, tokens() - first) * each
  const segment = segmentOf(load<usize>(a, 8), kvHead)
  const at = <usize>((first * heads + (perHead ? block : kvHead * group)) * headDim) << 2

  const w = plan(scratch, type, headDim, each, n)
  takeQueries(w, load<usize>(a, 4) + at, heads, load<f32>(a, 44))
  // Query i sees the rows before base + its token; listed rows are seen by all.
  const base = listed ? load<i32>(load<usize>(a, 16) + (<usize>block << 2)) : countOf(segment) + first + 1
  const rows = listed ? base : base + n / each - 1
  const list = listed + (<usize>(block * capacity) << 2)
  let chunkSkip = 0
  for (let r = 0; r < rows; r += 64) {
    const skip = listed ? 0 : max(0, r + 1 - base) * each
    if (r % CHUNK == 0) chunkSkip = skip
    if (r % CHUNK == 0) clear(w.most, w.sum, w.o, w)
    if (listed) copyTile(w, segment, list + (<usize>r << 2), min(64, rows - r))
    else pointTile(w, segment, r)
    readTile(w, skip, listed ? rows - r : base - r, listed == 0, min(64, rows - r))
    if (r % CHUNK == CHUNK - 64 || r + 64 >= rows) mergeChunk(w, chunkSkip)
  }
  finish(w, load<usize>(a) + at, heads)
}

/** Cuts the scratch. `scratchBytes` in src/kernels/scratch.ts counts the same pieces. */
function plan(scratch: usize, type: i32, headDim: i32, heads: i32, n: i32): Work {
  const w = changetype<Work>(scratch)
  const bytes = vectorBytes(type, headDim), wide = vectorBytes(0, headDim), many = <usize>n, lanes = (many + 4) << 2
  let at = (scratch + offsetof<Work>() + 63) & ~63
  w.type = type; w.headDim = headDim; w.heads = heads; w.n = n; w.bytes = bytes; w.wide = wide
  w.weights = at; at += 1024
  w.tileMost = at; at += 16
  w.tileSum = at; at += 16
  w.keep = at; at += 16
  w.take = at; at += 16
  w.codes = at; at += 512
  w.steps = at; at += 16
  w.keys = at; at += 64 * bytes
  w.values = at; at += 64 * bytes
  w.keyScales = at; at += 256
  w.valueScales = at; at += 256
  w.factors = at; at += lanes
  w.most = at; at += lanes
  w.sum = at; at += lanes
  w.allMost = at; at += lanes
  w.allSum = at; at += lanes
  w.queries = at; at += many * bytes
  w.o = at; at += many * wide
  w.allO = at
  clear(w.allMost, w.allSum, w.allO, w)
  return w
}

function clear(most: usize, sum: usize, o: usize, w: Work): void {
  for (let i: usize = 0, end = <usize>w.n << 2; i < end; i += 4) store<f32>(most + i, -Infinity)
  memory.fill(sum, 0, <usize>w.n << 2)
  memory.fill(o, 0, <usize>w.n * w.wide)
}

/** query: token by token, `heads` heads each of which this block has the first w.heads. */
function takeQueries(w: Work, query: usize, heads: i32, scale: f32): void {
  const headBytes = <usize>w.headDim << 2, stride = strideOf(w.headDim)
  let to = w.queries, factor = w.factors
  for (let t = 0; t < w.n; t += w.heads, query += <usize>heads * headBytes)
    for (let h = 0, from = query; h < w.heads; h++, from += headBytes, to += w.bytes, factor += 4) {
      if (w.type == I16) {
        store<f32>(factor, packRow(from, to, w.headDim, stride) * scale)
      } else {
        memory.copy(to, from, headBytes)
        memory.fill(to + headBytes, 0, w.bytes - headBytes)
        store<f32>(factor, scale)
      }
    }
}

/** The tile that starts at row r, where it lies. */
function pointTile(w: Work, segment: usize, r: i32): void {
  w.keys = keyOf(segment, r, w.type, w.headDim)
  w.values = valueOf(segment, r, w.type, w.headDim)
  if (w.type == I16) {
    w.keyScales = keyScaleOf(segment, r, w.type, w.headDim)
    w.valueScales = valueScaleOf(segment, r, w.type, w.headDim)
  }
}

/** Listed rows, side by side. */
function copyTile(w: Work, segment: usize, list: usize, n: i32): void {
  for (let i: usize = 0; i < <usize>n; i++, list += 4) {
    const row = load<i32>(list)
    memory.copy(w.keys + i * w.bytes, keyOf(segment, row, w.type, w.headDim), w.bytes)
    memory.copy(w.values + i * w.bytes, valueOf(segment, row, w.type, w.headDim), w.bytes)
    if (w.type == I16) {
      store<f32>(w.keyScales + (i << 2), load<f32>(keyScaleOf(segment, row, w.type, w.headDim)))
      store<f32>(w.valueScales + (i << 2), load<f32>(valueScaleOf(segment, row, w.type, w.headDim)))
    }
  }
}

/** Queries from `skip` on meet the tile, of which token 0 sees the first `seen` rows, and, where causal, token i i more. */
function readTile(w: Work, skip: i32, seen: i32, causal: bool, rows: i32): void {
  for (let q = skip; q < w.n; q += 4) {
    const n = min(4, w.n - q), at = <usize>q << 2
    const most = min(64, causal ? seen + (q + n - 1) / w.heads : seen)
    const width = (most + 3) & ~3
    scoreTile(w.queries + <usize>q * w.bytes, w.factors + at, n, w.keys, w.keyScales, most, w.bytes, w.type, w.weights, 256)
    for (let i = 0; i < n; i++) {
      const weights = w.weights + (<usize>i << 8)
      const mine = min(most, causal ? seen + (q + i) / w.heads : seen)
      tileSoftmax(weights, mine, width, w.tileMost + (<usize>i << 2), w.tileSum + (<usize>i << 2))
      if (w.type == I16) store<f32>(w.steps + (<usize>i << 2), codeWeights(weights, w.valueScales, w.codes + (<usize>i << 7), mine, width))
    }
    merge4(w.most + at, w.sum + at, w.tileMost, w.tileSum, w.keep, w.take)
    const o = w.o + <usize>q * w.wide
    if (w.type == I16) {
      v128.store(w.take, f32x4.mul(v128.load(w.take), v128.load(w.steps)))
      weighI16(o, w.codes, w.keep, w.take, n, w.values, most, w.bytes)
    } else {
      weighF32(o, w.weights, w.keep, w.take, n, w.values, most, w.bytes)
    }
  }
}

/** The chunk joins the total, for the queries from `skip` on. */
function mergeChunk(w: Work, skip: i32): void {
  for (let q = skip; q < w.n; q += 4) {
    merge4(w.allMost + (<usize>q << 2), w.allSum + (<usize>q << 2), w.most + (<usize>q << 2), w.sum + (<usize>q << 2), w.keep, w.take)
    for (let i = q, end = min(w.n, q + 4); i < end; i++) {
      const factor = <usize>(i - q) << 2
      for (let c = <usize>i * w.wide, last = c + w.wide; c < last; c += 32)
        mergeAt(w.allO + c, v128.load(w.o + c), v128.load(w.o + c, 16), w.keep + factor, w.take + factor)
    }
  }
}

/** out = o / sum. */
function finish(w: Work, out: usize, heads: i32): void {
  const headBytes = <usize>w.headDim << 2
  let o = w.allO, sum = w.allSum
  for (let t = 0; t < w.n; t += w.heads, out += <usize>heads * headBytes)
    for (let h = 0, to = out; h < w.heads; h++, to += headBytes, o += w.wide, sum += 4) {
      const by = v128.load32_splat(sum)
      for (let c: usize = 0; c < w.wide; c += 16) v128.store(o + c, f32x4.div(v128.load(o + c), by))
      memory.copy(to, o, headBytes)
    }
}
