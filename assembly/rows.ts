import { firstRow, position, setCost, tokens } from './registers'
import { countOf, I16, keyOf, keyScaleOf, packRow, positionOf, SEGMENT_BYTES, segmentOf, strideOf, tailType, valueOf, valueScaleOf, vectorBytes } from './segment'

// append | segments | keys | values | kvHeads | headDim | type |

export function appendBlocks(a: usize): i32 {
  return load<i32>(a, 12)
}

/** Block h: the batch's rows of KV head h. */
export function append(a: usize, block: i32, scratch: usize): void {
  const segment = segmentOf(load<usize>(a), block)
  const kvHeads = load<i32>(a, 12), headDim = load<i32>(a, 16), type = tailType(load<i32>(a, 20))
  const step = <usize>(kvHeads * headDim) << 2
  const offset = <usize>(block * headDim) << 2
  let keys = load<usize>(a, 4) + offset, values = load<usize>(a, 8) + offset
  const count = countOf(segment), at = position()
  for (let i = 0, n = tokens(); i < n; i++, keys += step, values += step) {
    const row = count + i
    saveVector(keys, keyOf(segment, row, type, headDim), keyScaleOf(segment, row, type, headDim), headDim, type)
    saveVector(values, valueOf(segment, row, type, headDim), valueScaleOf(segment, row, type, headDim), headDim, type)
    store<i32>(positionOf(segment, row, type, headDim), at + i)
  }
}

/** One key or value in its row's type, padded with zeros. */
function saveVector(x: usize, to: usize, scale: usize, headDim: i32, type: i32): void {
  const stride = strideOf(headDim)
  if (type == I16) {
    store<f32>(scale, packRow(x, to, headDim, stride))
  } else {
    memory.copy(to, x, <usize>headDim << 2)
    memory.fill(to + (<usize>headDim << 2), 0, <usize>(stride - headDim) << 2)
  }
}

// reposition | segments | positions | kvHeads | headDim | type |

export function repositionBlocks(a: usize): i32 {
  return 1
}

export function reposition(a: usize, block: i32, scratch: usize): void {
  const kvHeads = load<i32>(a, 8), headDim = load<i32>(a, 12), type = tailType(load<i32>(a, 16))
  const positions = load<usize>(a, 4) + (<usize>firstRow() << 2)
  for (let h = 0; h < kvHeads; h++) {
    const segment = segmentOf(load<usize>(a), h), count = countOf(segment)
    for (let i = 0, n = tokens(); i < n; i++)
      store<i32>(positionOf(segment, count + i, type, headDim), load<i32>(positions + (<usize>i << 2)))
  }
}

// advance | segments | kvHeads |

export function advanceBlocks(a: usize): i32 {
  return 1
}

export function advance(a: usize, block: i32, scratch: usize): void {
  let segment = load<usize>(a)
  for (let h = 0, n = load<i32>(a, 4); h < n; h++, segment += SEGMENT_BYTES) store<i32>(segment, countOf(segment) + tokens())
}

// observe | ring | query | heads | headDim | window |

export function observeBlocks(a: usize): i32 {
  return 1
}

export function observe(a: usize, block: i32, scratch: usize): void {
  const bytes = <usize>(load<i32>(a, 8) * load<i32>(a, 12)) << 2
  const window = load<i32>(a, 16), n = tokens(), at = position()
  for (let i = max(0, n - window); i < n; i++)
    memory.copy(load<usize>(a) + <usize>((at + i) % window) * bytes, load<usize>(a, 4) + <usize>i * bytes, bytes)
}

// gatherRows | x | rows | count | width |

/** Columns of one block: whole cache lines. */
// @ts-ignore: decorator
@inline
const COLUMNS: i32 = 256

export function gatherRowsBlocks(a: usize): i32 {
  // A copied number costs about as much as eight multiply-adds.
  setCost(<i32>(<i64>load<i32>(a, 8) * COLUMNS * 8 / 1000))
  return (load<i32>(a, 12) + COLUMNS - 1) / COLUMNS
}

/** Block: some columns of every row, ascending: rows move up only, so none is written over before it was read. */
export function gatherRows(a: usize, block: i32, scratch: usize): void {
  const width = load<i32>(a, 12), first = block * COLUMNS
  const bytes = <usize>min(COLUMNS, width - first) << 2, step = <usize>width << 2
  const x = load<usize>(a) + (<usize>first << 2)
  let rows = load<usize>(a, 4), to = x
  for (let i = 0, n = load<i32>(a, 8); i < n; i++, rows += 4, to += step) memory.copy(to, x + <usize>load<u32>(rows) * step, bytes)
}
