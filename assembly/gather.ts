import { groupOf, keyNumbers, packGroup, valueNumbers } from './groups'
import { setCost } from './registers'
import { countOf, F32, I16, keyOf, keyScaleOf, positionOf, Q8, segmentOf, valueOf, valueScaleOf, vectorBytes } from './segment'

// gather | to | from | rows | counts | sets | capacity | kvHeads | headDim | type | fromType |

/** Rows that KV head h gets. */
function rowsOf(a: usize, h: i32): i32 {
  if (!load<usize>(a, 8)) return countOf(segmentOf(load<usize>(a, 4), h))
  return load<i32>(load<usize>(a, 12) + (load<i32>(a, 16) == 1 ? 0 : <usize>h << 2))
}

export function gatherBlocks(a: usize): i32 {
  if (load<i32>(a, 32) >= Q8) setCost((rowsOf(a, 0) * load<i32>(a, 28)) >> 8)
  return load<i32>(a, 24)
}

/** Block h: KV head h. Ascending, so that a segment may be compacted in place. */
export function gather(a: usize, block: i32, scratch: usize): void {
  const to = segmentOf(load<usize>(a), block), from = segmentOf(load<usize>(a, 4), block)
  const set = load<i32>(a, 16) == 1 ? 0 : block, listed = load<usize>(a, 8)
  const list = listed ? listed + (<usize>(set * load<i32>(a, 20)) << 2) : 0
  const n = rowsOf(a, block)
  const headDim = load<i32>(a, 28), type = load<i32>(a, 32), fromType = load<i32>(a, 36)
  if (type >= Q8) gatherGroups(to, from, list, n, headDim, type, fromType, scratch)
  else for (let i = 0; i < n; i++) copyRow(to, i, from, rowAt(list, i), headDim, type)
  store<i32>(to, n)
}

// @ts-ignore: decorator
@inline
function rowAt(list: usize, i: i32): i32 {
  return list ? load<i32>(list + (<usize>i << 2)) : i
}

function copyRow(to: usize, i: i32, from: usize, row: i32, headDim: i32, type: i32): void {
  const bytes = vectorBytes(type, headDim)
  memory.copy(keyOf(to, i, type, headDim), keyOf(from, row, type, headDim), bytes)
  memory.copy(valueOf(to, i, type, headDim), valueOf(from, row, type, headDim), bytes)
  if (type == I16) {
    store<f32>(keyScaleOf(to, i, type, headDim), load<f32>(keyScaleOf(from, row, type, headDim)))
    store<f32>(valueScaleOf(to, i, type, headDim), load<f32>(valueScaleOf(from, row, type, headDim)))
  }
  store<i32>(positionOf(to, i, type, headDim), load<i32>(positionOf(from, row, type, headDim)))
}

/** The position of a row of any type. */
function positionAt(segment: usize, row: i32, headDim: i32, type: i32): i32 {
  if (type < Q8) return load<i32>(positionOf(segment, row, type, headDim))
  if (row >= load<i32>(segment, 4)) return load<i32>(positionOf(segment, row, F32, headDim))
  // A group ends with its positions, where the next one begins.
  return load<i32>(groupOf(segment, (row & ~63) + 64, type, headDim) - 256 + (<usize>(row & 63) << 2))
}

/** Rows as groups of 64, what is left of them as f32. scratch: keys, values [64, stride] f32, positions [64] u32, [40] f32. */
function gatherGroups(to: usize, from: usize, list: usize, n: i32, headDim: i32, type: i32, fromType: i32, scratch: usize): void {
  const bytes = vectorBytes(F32, headDim), whole = n & ~63
  const values = scratch + (bytes << 6), positions = values + (bytes << 6)
  for (let first = 0; first < whole; first += 64) {
    for (let i = 0; i < 64; i++) {
      const row = rowAt(list, first + i)
      keyNumbers(from, row, fromType, headDim, scratch + <usize>i * bytes)
      valueNumbers(from, row, fromType, headDim, values + <usize>i * bytes)
      store<i32>(positions + (<usize>i << 2), positionAt(from, row, headDim, fromType))
    }
    packGroup(groupOf(to, first, type, headDim), scratch, values, positions, headDim, type, positions + 256)
  }
  store<i32>(to, whole, 4)
  for (let i = whole; i < n; i++) {
    const row = rowAt(list, i)
    keyNumbers(from, row, fromType, headDim, keyOf(to, i, F32, headDim))
    valueNumbers(from, row, fromType, headDim, valueOf(to, i, F32, headDim))
    store<i32>(positionOf(to, i, F32, headDim), positionAt(from, row, headDim, fromType))
  }
}

// pack | segments | kvHeads | headDim | type |

export function packBlocks(a: usize): i32 {
  const segment = load<usize>(a)
  const rows = countOf(segment) - load<i32>(segment, 4)
  if (rows >= 64) setCost((rows * load<i32>(a, 8)) >> 8)
  return load<i32>(a, 4)
}

/** Block h: KV head h. scratch: [40] f32. Where exactly 64 rows are packed the tail stays as it is: taking the split back undoes it. */
export function pack(a: usize, block: i32, scratch: usize): void {
  const segment = segmentOf(load<usize>(a), block), headDim = load<i32>(a, 8), type = load<i32>(a, 12)
  const count = countOf(segment), bytes = vectorBytes(F32, headDim)
  let row = load<i32>(segment, 4)
  if (count - row < 64) return
  const keys = keyOf(segment, row, F32, headDim), values = valueOf(segment, row, F32, headDim), positions = positionOf(segment, row, F32, headDim)
  for (; count - row >= 64; row += 64)
    packGroup(groupOf(segment, row, type, headDim), keyOf(segment, row, F32, headDim), valueOf(segment, row, F32, headDim), positionOf(segment, row, F32, headDim), headDim, type, scratch)
  if (row < count) {
    const rest = <usize>(count - row)
    memory.copy(keys, keyOf(segment, row, F32, headDim), rest * bytes)
    memory.copy(values, valueOf(segment, row, F32, headDim), rest * bytes)
    memory.copy(positions, positionOf(segment, row, F32, headDim), rest << 2)
  }
  store<i32>(segment, row, 4)
}
