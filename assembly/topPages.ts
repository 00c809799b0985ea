import { setCost } from './registers'
import { segmentOf } from './segment'
import { countFrom, keyBytes, makeKeys, removeKey, writeLargest, writeRange } from './select'
import { liveOf, pagesOf } from './tiles'

// topPages | rows | counts | weights | segments | sets | kvHeads | pageSize | stride | tokens | first | last | newest | capacity |

export function topPagesBlocks(a: usize): i32 {
  setCost(load<i32>(a, 28) >> 6)
  return load<i32>(a, 16)
}

/** Block s: one set. scratch: keys of `stride` pages, then the chosen pages. */
export function topPages(a: usize, block: i32, scratch: usize): void {
  const pageSize = load<i32>(a, 24), stride = load<i32>(a, 28), capacity = load<i32>(a, 48)
  const kvHead = block * load<i32>(a, 20) / load<i32>(a, 16)
  const live = liveOf(segmentOf(load<usize>(a, 12), kvHead))
  const pages = pagesOf(live, pageSize), first = min(load<i32>(a, 36), live), last = min(load<i32>(a, 40), live - first)
  let tokens = min(load<i32>(a, 32), live)
  const chosen = scratch + keyBytes(stride)
  const newest = pages - 1, rest = live - newest * pageSize
  makeKeys(load<usize>(a, 8) + (<usize>(block * stride) << 2), scratch, pages)
  let n = 0, cutPage = -1, cutRows = 0
  if (load<i32>(a, 44)) {
    n = tokens == live ? pages : max(1, tokens / pageSize)
    if (n) {
      removeKey(scratch, newest)
      writeLargest(scratch, newest, n - 1, 0, chosen)
      store<i32>(chosen + (<usize>(n - 1) << 2), newest)
    }
  } else {
    // Pages of forced rows alone stay outside the ranking, so that they take nothing from the budget.
    const low = first / pageSize, high = last ? max(low, (live - last + pageSize - 1) / pageSize) : pages
    for (let page = 0; page < low; page++) removeKey(scratch, page)
    for (let page = high; page < pages; page++) removeKey(scratch, page)
    tokens = min(tokens, max(0, min(live, high * pageSize) - low * pageSize))
  }
  if (!load<i32>(a, 44) && tokens) {
    n = pagesOf(tokens, pageSize)
    let rows = n * pageSize - (isAmong(scratch, pages, newest, n) ? pageSize - rest : 0)
    if (rows < tokens) {
      n++
      rows += pageSize
    }
    writeLargest(scratch, pages, n, 0, chosen)
    cutPage = lowest(scratch, chosen, n)
    cutRows = (cutPage == newest ? rest : pageSize) - (rows - tokens)
  }
  const start = load<usize>(a) + (<usize>(block * capacity) << 2)
  let rows = writeRange(start, 0, first)
  for (let i = 0; i < n; i++) {
    const page = load<i32>(chosen + (<usize>i << 2))
    const from = max(first, page * pageSize)
    const end = min(live - last, page * pageSize + (page == cutPage ? cutRows : pageSize))
    if (from < end) rows = writeRange(rows, from, end - from)
  }
  rows = writeRange(rows, live - last, last)
  store<i32>(load<usize>(a, 4) + (<usize>block << 2), <i32>((rows - start) >> 2))
}

/** Whether page `newest`, the last of all, is among the n best. */
function isAmong(keys: usize, pages: i32, newest: i32, n: i32): bool {
  return n >= pages || countFrom(keys, pages, load<i32>(keys + (<usize>newest << 2))) <= n
}

/** The chosen page of the lowest rank: the smallest key, the last of equals. */
function lowest(keys: usize, chosen: usize, n: i32): i32 {
  let page = 0, least = i32.MAX_VALUE
  for (let i = 0; i < n; i++, chosen += 4) {
    const key = load<i32>(keys + (load<usize>(chosen) << 2))
    if (key > least) continue
    least = key
    page = load<i32>(chosen)
  }
  return page
}

// firstAndLast | rows | counts | segments | kvHeads | first | last | capacity |

export function firstAndLastBlocks(a: usize): i32 {
  return load<i32>(a, 12)
}

/** Block h: KV head h. */
export function firstAndLast(a: usize, block: i32, scratch: usize): void {
  const live = liveOf(segmentOf(load<usize>(a, 8), block))
  const first = min(load<i32>(a, 16), live), last = min(load<i32>(a, 20), live - first)
  const rows = writeRange(load<usize>(a) + (<usize>(block * load<i32>(a, 24)) << 2), 0, first)
  writeRange(rows, live - last, last)
  store<i32>(load<usize>(a, 4) + (<usize>block << 2), first + last)
}
