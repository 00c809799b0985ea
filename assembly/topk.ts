import { sumOf } from './pool'
import { setCost } from './registers'
import { countOf, segmentOf } from './segment'
import { keyBytes, makeKeys, removeKey, writeLargest, writeRange } from './select'

// topk | rows | counts | scores | keep | sets | stride | tokens | first | last | capacity | segments |

export function topkBlocks(a: usize): i32 {
  setCost(load<i32>(a, 24) >> 6)
  return load<i32>(a, 16)
}

/** Block s: one set. scratch: keys of `tokens` scores. */
export function topk(a: usize, block: i32, scratch: usize): void {
  const scores = load<usize>(a, 8) + (<usize>(block * load<i32>(a, 20)) << 2)
  const segments = load<usize>(a, 40), capacity = load<i32>(a, 36)
  let tokens = load<i32>(a, 24)
  if (segments) tokens = min(tokens, countOf(segmentOf(segments, block)))
  const first = min(load<i32>(a, 28), tokens), last = min(load<i32>(a, 32), tokens - first)
  const wanted = load<u32>(load<usize>(a, 12) + (<usize>block << 2))
  const keep = max(first + last, <i32>min(wanted, <u32>min(tokens, capacity)))
  const middle = tokens - first - last, n = keep - first - last
  store<i32>(load<usize>(a, 4) + (<usize>block << 2), keep)
  let rows = writeRange(load<usize>(a) + (<usize>(block * capacity) << 2), 0, first)
  if (n == middle) {
    rows = writeRange(rows, first, n)
  } else {
    makeKeys(scores + (<usize>first << 2), scratch, middle)
    writeLargest(scratch, middle, n, first, rows)
    rows += <usize>n << 2
  }
  writeRange(rows, tokens - last, last)
}

// shareRows | keep | scores | segments | kvHeads | stride | tokens | first | last | floor | total |

export function shareRowsBlocks(a: usize): i32 {
  setCost(load<i32>(a, 12) * load<i32>(a, 20) >> 5)
  return 1
}

/** scratch: keys of what no head keeps for itself, one head after the other; keys of one head; places. Heads' ends in places lie in `keep` meanwhile. */
export function shareRows(a: usize, block: i32, scratch: usize): void {
  const keep = load<usize>(a), kvHeads = load<i32>(a, 12), stride = load<usize>(a, 16) << 2, most = load<i32>(a, 20)
  const own = scratch + keyBytes(kvHeads * most)
  let places = own + keyBytes(most), left = load<i32>(a, 36), all = 0
  for (let h = 0; h < kvHeads; h++) {
    const tokens = min(most, countOf(segmentOf(load<usize>(a, 8), h)))
    const first = min(load<i32>(a, 24), tokens), last = min(load<i32>(a, 28), tokens - first), middle = tokens - first - last
    const forced = min(max(0, load<i32>(a, 32) - first - last), middle)
    makeKeys(load<usize>(a, 4) + <usize>h * stride + (<usize>first << 2), own, middle)
    writeLargest(own, middle, forced, 0, places)
    for (let i = 0, at = 0; i < middle; i++) {
      if (at < forced && load<i32>(places + (<usize>at << 2)) == i) at++
      else {
        store<i32>(scratch + (<usize>all << 2), load<i32>(own + (<usize>i << 2)))
        all++
      }
    }
    store<i32>(keep + (<usize>h << 2), all)
    left -= first + last + forced
  }
  for (let i = all; i & 15; i++) removeKey(scratch, i)
  left = max(0, min(left, all))
  writeLargest(scratch, all, left, 0, places)
  for (let h = 0, from = 0; h < kvHeads; h++) {
    const tokens = min(most, countOf(segmentOf(load<usize>(a, 8), h))), end = load<i32>(keep + (<usize>h << 2))
    // Rows that are kept in any case are those that were not put up.
    let n = tokens - (end - from)
    for (; left > 0 && load<i32>(places) < end; left--, places += 4) n++
    store<i32>(keep + (<usize>h << 2), n)
    from = end
  }
}

// topChunks | rows | counts | scores | sets | stride | tokens | chunk | chunks | capacity |

export function topChunksBlocks(a: usize): i32 {
  setCost(load<i32>(a, 20) >> 7)
  return load<i32>(a, 12)
}

/** Block s: one set. Means: f64 sums, rounded once. scratch: keys of the chunks, then the chosen ones. */
export function topChunks(a: usize, block: i32, scratch: usize): void {
  const scores = load<usize>(a, 8) + (<usize>(block * load<i32>(a, 16)) << 2)
  const tokens = load<i32>(a, 20), chunk = load<i32>(a, 24)
  const n = (tokens + chunk - 1) / chunk, keep = min(load<i32>(a, 28), n)
  for (let i = 0; i < n; i++) {
    const length = min(chunk, tokens - i * chunk)
    store<f32>(scratch + (<usize>i << 2), <f32>(sumOf(scores + (<usize>(i * chunk) << 2), length) / <f64>length))
  }
  makeKeys(scratch, scratch, n)
  const chosen = scratch + keyBytes(n)
  writeLargest(scratch, n, keep, 0, chosen)
  const start = load<usize>(a) + (<usize>(block * load<i32>(a, 32)) << 2)
  let rows = start
  for (let i = 0; i < keep; i++) {
    const first = load<i32>(chosen + (<usize>i << 2)) * chunk
    rows = writeRange(rows, first, min(chunk, tokens - first))
  }
  store<i32>(load<usize>(a, 4) + (<usize>block << 2), <i32>((rows - start) >> 2))
}
