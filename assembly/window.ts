import { scoreTile, takeQuery } from './dots'
import { position, setCost, tokens } from './registers'
import { keyTile } from './groups'
import { countOf, F32, I16, keyOf, keyScaleOf, Q8, segmentOf, tailType, vectorBytes } from './segment'
import { capScores } from './softcap'
import { exp4, max4, mulAdd, sum4 } from './simd'

/** Queries that share their loads; scores of so many rows of a whole prompt lie in scratch. src/kernels/scratch.ts relies on it. */
// @ts-ignore: decorator
@inline
const QUERIES: i32 = 4

/** Scores of n queries, 1 … 4, against `live` ≤ 64 rows from r on, `step` bytes apart. unpacked: a tile of keys [64, stride] f32, for packed rows. */
// @ts-ignore: decorator
@inline
function scoreKeys(queries: usize, factors: usize, n: i32, segment: usize, r: i32, live: i32, headDim: i32, type: i32, out: usize, step: usize, unpacked: usize): void {
  const bytes = vectorBytes(tailType(type), headDim)
  const keys = type >= Q8 ? keyTile(segment, r, live, type, headDim, unpacked) : keyOf(segment, r, type, headDim)
  scoreTile(queries, factors, n, keys, type == I16 ? keyScaleOf(segment, r, type, headDim) : 0, live, bytes, tailType(type), out, step, 0, 0)
}

/** The same against the first `rows` rows: whole tiles are written. */
function scoreRows(queries: usize, factors: usize, n: i32, segment: usize, rows: i32, headDim: i32, type: i32, out: usize, step: usize, unpacked: usize): void {
  for (let r = 0; r < rows; r += 64, out += 256) scoreKeys(queries, factors, n, segment, r, min(64, rows - r), headDim, type, out, step, unpacked)
}

// scoreWindow | out | ring | segments | sets | stride | tokens | heads | kvHeads | headDim | type | ringRows | window | scale | cap |

export function scoreWindowBlocks(a: usize): i32 {
  const sets = load<i32>(a, 12)
  setCost(<i32>(<i64>load<i32>(a, 20) * load<i32>(a, 44) * load<i32>(a, 24) * load<i32>(a, 32) / sets / 1000))
  return sets
}

/**
 * Block: one set. Four queries at a time: all their scores, then the softmax of each, then its weights join the column sums,
 * query after query; heads ascending, within a head the window ascending. scratch: factors, queries, scores [4, tokens in tiles], a tile of keys.
 */
export function scoreWindow(a: usize, block: i32, scratch: usize): void {
  const sets = load<i32>(a, 12), tokens = load<i32>(a, 20), heads = load<i32>(a, 24), kvHeads = load<i32>(a, 28)
  const headDim = load<i32>(a, 32), type = load<i32>(a, 36), ringRows = load<i32>(a, 40), window = load<i32>(a, 44), scale = load<f32>(a, 48), cap = load<f32>(a, 52)
  const group = heads / kvHeads, each = heads / sets
  const out = load<usize>(a) + (<usize>(block * load<i32>(a, 16)) << 2)
  const segment = segmentOf(load<usize>(a, 8), sets == kvHeads ? block : block / group)
  const rows = min(tokens, countOf(segment))
  const bytes = vectorBytes(tailType(type), headDim)
  const step = <usize>((rows + 63) & ~63) << 2
  const factors = scratch, queries = scratch + 64, scores = queries + <usize>QUERIES * vectorBytes(F32, headDim)
  const columns = max(0, rows - window)
  // A prompt shorter than the window has no query for the window's first places.
  const first = max(0, window - rows)
  memory.fill(out, 0, <usize>tokens << 2)
  for (let h = block * each; h < (block + 1) * each; h++)
    for (let i = first; i < window; i += QUERIES) {
      const n = min(QUERIES, window - i)
      for (let j = 0; j < n; j++) {
        const row = (position() - window + i + j) % ringRows
        takeQuery(load<usize>(a, 4) + (<usize>((row * heads + h) * headDim) << 2), queries + <usize>j * bytes, factors + (<usize>j << 2), headDim, tailType(type), scale)
      }
      scoreRows(queries, factors, n, segment, rows - window + i + n, headDim, type, scores, step, scores + <usize>QUERIES * step)
      if (cap != 0) for (let j = 0; j < n; j++) capScores(scores + <usize>j * step, rows - window + i + n, cap)
      for (let j = 0; j < n; j++) addWeights(out, scores + <usize>j * step, rows - window + i + j + 1, columns)
    }
}

/** out [columns] += softmax(scores [rows]). scores may be written to the next multiple of 4. */
function addWeights(out: usize, scores: usize, rows: i32, columns: i32): void {
  for (let i = rows; i & 3; i++) store<f32>(scores + (<usize>i << 2), -Infinity)
  const end = scores + (<usize>((rows + 3) & ~3) << 2)
  let top = v128.load(scores)
  for (let p = scores + 16; p < end; p += 16) top = f32x4.max(top, v128.load(p))
  top = f32x4.splat(max4(top))
  let sum = f32x4.splat(0)
  for (let p = scores; p < end; p += 16) {
    const x = exp4(f32x4.sub(v128.load(p), top))
    v128.store(p, x)
    sum = f32x4.add(sum, x)
  }
  const inverse: f32 = 1 / sum4(sum)
  const by = f32x4.splat(inverse)
  let i = 0
  for (; i + 4 <= columns; i += 4, out += 16, scores += 16) v128.store(out, mulAdd(v128.load(scores), by, v128.load(out)))
  for (; i < columns; i++, out += 4, scores += 4) store<f32>(out, load<f32>(out) + load<f32>(scores) * inverse)
}

// tokenScore | out | query | segments | heads | kvHeads | headDim | type | stride | scale | cap |

export function tokenScoreBlocks(a: usize): i32 {
  const kvHeads = load<i32>(a, 16)
  let rows = 0
  for (let h = 0; h < kvHeads; h++) rows = max(rows, countOf(segmentOf(load<usize>(a, 8), h)) + tokens())
  setCost(<i32>(<i64>rows * load<i32>(a, 20) * load<i32>(a, 12) / kvHeads / 1000))
  return kvHeads
}

/** Block: one KV head, its heads four at a time. scratch: scores [4, 64], factors, queries, a tile of keys. */
export function tokenScore(a: usize, block: i32, scratch: usize): void {
  const heads = load<i32>(a, 12), group = heads / load<i32>(a, 16), headDim = load<i32>(a, 20), type = load<i32>(a, 24)
  const stride = <usize>load<i32>(a, 28) << 2, cap = load<f32>(a, 36)
  const segment = segmentOf(load<usize>(a, 8), block)
  const rows = countOf(segment) + tokens(), bytes = vectorBytes(tailType(type), headDim)
  const scores = scratch, factors = scratch + 1024, queries = factors + 64
  for (let h = block * group, end = h + group; h < end; h += QUERIES) {
    const n = min(QUERIES, end - h)
    for (let j = 0; j < n; j++)
      takeQuery(load<usize>(a, 4) + (<usize>((h + j) * headDim) << 2), queries + <usize>j * bytes, factors + (<usize>j << 2), headDim, tailType(type), load<f32>(a, 32))
    for (let r = 0; r < rows; r += 64) {
      const live = min(64, rows - r)
      scoreKeys(queries, factors, n, segment, r, live, headDim, type, scores, 256, queries + <usize>QUERIES * bytes)
      if (cap != 0) for (let j = 0; j < n; j++) capScores(scores + (<usize>j << 8), live, cap)
      for (let j = 0; j < n; j++)
        memory.copy(load<usize>(a) + <usize>(h + j) * stride + (<usize>r << 2), scores + (<usize>j << 8), <usize>live << 2)
    }
  }
}
