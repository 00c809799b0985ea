import { CHUNK, chunksOf, storeChunk } from './chunks'
import { scoreTile } from './dots'
import { turnKeys, scoreTurned } from './turned'
import { setCost, tokens } from './registers'
import { addConstant, offsetOf } from './groupTile'
import { countOf, I16, keyOf, Q8, segmentOf, strideOf } from './segment'
import { capScores } from './softcap'
import { codeWeights, merge4, tileSoftmax } from './softmax'
import { mergeAt, weighF32, weighI16 } from './weigh'
import { clear, copyTile, plan, pointTile, takeQueries, touchTiles, Work } from './work'

// attend | out | query | segments | rows | counts | sets | capacity | heads | kvHeads | headDim | type | scale | partials | cap | window | before |
//
// Rows are read in tiles of 64. For each query a tile gives a maximum m, a sum s of e^(score − m) and the weighted values o,
// from zero; 16 tiles, ascending, merge into a chunk, and chunks, ascending, into the total. A query's bits depend on its rows
// alone: not on the batch, the block, or who else reads the tile. A tile of which a query sees nothing has m = −∞, s = 0 and merges
// as if it were not there; so a window reads from its first tile on, and whole tiles before it may be gone.

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
/** Queries from which turning a tile pays. */
// @ts-ignore: decorator
@inline
const MANY: i32 = 8

/** Rows that the longest KV head's newest query sees. */
function longest(a: usize): i32 {
  const sets = load<i32>(a, 20), listed = load<usize>(a, 12), counts = load<usize>(a, 16)
  let rows = 0
  if (listed) for (let s = 0; s < sets; s++) rows = max(rows, load<i32>(counts + (<usize>s << 2)))
  else for (let h = 0, n = load<i32>(a, 32); h < n; h++) rows = max(rows, countOf(segmentOf(load<usize>(a, 8), h)) + tokens())
  const window = load<i32>(a, 56)
  return window && !listed ? min(rows, window + MOST + 64) : rows
}

/** Tokens of one block. */
function tokenTile(a: usize): i32 {
  const group = load<i32>(a, 28) / load<i32>(a, 32)
  const each = <i32>(<i64>longest(a) * 2 * load<i32>(a, 36) * group / 1000) + 1
  return max(1, min(MOST / group, max((FEWEST + group - 1) / group, BLOCK_COST / each)))
}

export function attendBlocks(a: usize): i32 {
  const group = load<i32>(a, 28) / load<i32>(a, 32)
  if (load<usize>(a, 48)) {
    setCost(<i32>(<i64>min(CHUNK, longest(a)) * 2 * load<i32>(a, 36) * group / 1000))
    return load<i32>(a, 32) * chunksOf(longest(a))
  }
  const tile = load<usize>(a, 12) ? 1 : tokenTile(a)
  setCost(<i32>(<i64>longest(a) * 2 * load<i32>(a, 36) * group * min(tile, tokens()) / 1000))
  if (load<usize>(a, 12)) return load<i32>(a, 20)
  return load<i32>(a, 32) * ((tokens() + tile - 1) / tile)
}

/** Block: some tokens of one KV head, all tokens of one head before the next one's; or one set of listed rows; or, with partials, a chunk of one KV head. */
export function attend(a: usize, block: i32, scratch: usize): void {
  if (load<usize>(a, 48)) return attendChunk(a, block, scratch)
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
  const list = listed ? listed + (<usize>(block * capacity) << 2) : 0
  const before = listed ? 0 : load<i32>(a, 60)
  w.cap = load<f32>(a, 52)
  w.window = listed ? 0 : load<i32>(a, 56)
  for (let r = w.window ? max(0, base - w.window) & ~63 : 0, end = 0; r < rows; r = end) {
    end = min(rows, r + CHUNK - (r + before) % CHUNK)
    readChunk(w, segment, list, r, end, rows, base)
    mergeChunk(w, listed ? 0 : max(0, r + 1 - base) * each)
  }
  finish(w, load<usize>(a) + at, heads)
}

/** T = 1. Blocks are handed out from the last on, so the last chunk of a head, which may be short, comes first here. */
function attendChunk(a: usize, block: i32, scratch: usize): void {
  const heads = load<i32>(a, 28), kvHeads = load<i32>(a, 32), headDim = load<i32>(a, 36), type = load<i32>(a, 40)
  const group = heads / kvHeads, kvHead = block % kvHeads, head = kvHead * group
  const chunk = chunksOf(longest(a)) - 1 - block / kvHeads
  const segment = segmentOf(load<usize>(a, 8), kvHead)
  const rows = countOf(segment) + 1
  if (chunk * CHUNK >= rows) return
  const w = plan(scratch, type, headDim, group, group)
  takeQueries(w, load<usize>(a, 4) + (<usize>(head * headDim) << 2), heads, load<f32>(a, 44))
  w.cap = load<f32>(a, 52)
  w.window = 0
  readChunk(w, segment, 0, chunk * CHUNK, min(rows, (chunk + 1) * CHUNK), rows, rows)
  storeChunk(w, load<usize>(a, 48), chunk, heads, head)
}

/** The rows of a chunk from `first` to `end`, of `rows` in all; where they are not listed, token 0 sees those before `base`. */
function readChunk(w: Work, segment: usize, list: usize, first: i32, end: i32, rows: i32, base: i32): void {
  clear(w.most, w.sum, w.o, w)
  for (let r = first; r < end; r += 64) {
    if (list) copyTile(w, segment, list + (<usize>r << 2), min(64, rows - r))
    else pointTile(w, segment, r)
    // Few queries keep the processor busy for less time than memory takes, so what is wanted next is read early:
    // on the way by pairs of queries that meet i16 rows, else at once.
    const next = !list && w.stored < Q8 && w.n == w.heads ? (r + 128 <= rows ? keyOf(segment, r + 64, w.type, w.headDim) : w.keys) : 0
    if (next && (w.type != I16 || w.n < 2 || w.n >= MANY)) touchTiles(w, next)
    readTile(w, next, list ? 0 : max(0, r + 1 - base) * w.heads, list ? rows - r : base - r, list == 0, min(64, rows - r))
  }
}

/**
 * Queries from `skip` on meet the tile, of which token 0 sees the first `seen` rows, and, where causal, token i i more. next: the
 * next tile's keys, or 0 where nothing is to be read early.
 */
function readTile(w: Work, next: usize, skip: i32, seen: i32, causal: bool, rows: i32): void {
  const group = w.type != w.stored && w.type == I16
  const turned = w.type == I16 && w.n - skip >= MANY && w.bytes <= 256
  if (turned) turnKeys(w.turned, w.keys, rows, w.bytes)
  for (let q = skip; q < w.n; q += 4) {
    const n = min(4, w.n - q), at = <usize>q << 2
    const most = min(64, causal ? seen + (q + n - 1) / w.heads : seen)
    const width = (most + 3) & ~3
    if (turned && n == 4) scoreTurned(w.queries + <usize>q * w.bytes, w.factors + at, w.turned, w.keyScales, most, w.bytes, w.weights, 256)
    else scoreTile(w.queries + <usize>q * w.bytes, w.factors + at, n, w.keys, w.keyScales, most, w.bytes, w.type, w.weights, 256, next && w.values, next)
    for (let i = 0; i < n; i++) {
      const weights = w.weights + (<usize>i << 8)
      const mine = min(most, causal ? seen + (q + i) / w.heads : seen)
      if (group) addConstant(weights, width, load<f32>(w.constants + at + (<usize>i << 2)))
      if (w.cap != 0) capScores(weights, mine, w.cap)
      if (w.window) hideFirst(weights, min(mine, seen + (q + i) / w.heads - w.window))
      tileSoftmax(weights, mine, width, w.tileMost + (<usize>i << 2), w.tileSum + (<usize>i << 2))
      if (group) store<f32>(w.shifts + (<usize>i << 2), offsetOf(weights, w.valueOffsets))
      if (w.type == I16) store<f32>(w.steps + (<usize>i << 2), codeWeights(weights, w.valueScales, w.codes + (<usize>i << 7), mine, width))
    }
    merge4(w.most + at, w.sum + at, w.tileMost, w.tileSum, w.keep, w.take)
    const o = w.o + <usize>q * w.wide
    if (w.type == I16) {
      const take = v128.load(w.take)
      v128.store(w.shifts, f32x4.mul(take, v128.load(w.shifts)))
      v128.store(w.take, f32x4.mul(take, v128.load(w.steps)))
      weighI16(o, w.codes, w.keep, w.take, n, w.values, most, w.bytes)
      if (group) for (let i = 0; i < n; i++) addConstant(o + <usize>i * w.wide, strideOf(w.headDim), load<f32>(w.shifts + (<usize>i << 2)))
    } else {
      weighF32(o, w.weights, w.keep, w.take, n, w.values, most, w.bytes)
    }
  }
}

/** The first n scores belong to rows that were left behind. */
function hideFirst(scores: usize, n: i32): void {
  for (let i = 0; i < n; i++) store<f32>(scores + (<usize>i << 2), -Infinity)
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
