import { setCost } from './registers'

// pool | out | scores | sets | stride | tokens | kernel | maximum |

export function poolBlocks(a: usize): i32 {
  setCost(load<i32>(a, 16) >> 7)
  return load<i32>(a, 8)
}

/** Block s: one set. scratch: [tokens + 2 · min(kernel >> 1, tokens) + 8] pairs of f64. */
export function pool(a: usize, block: i32, scratch: usize): void {
  const offset = <usize>(block * load<i32>(a, 12)) << 2
  const out = load<usize>(a) + offset, scores = load<usize>(a, 4) + offset
  const tokens = load<i32>(a, 16), kernel = load<i32>(a, 20)
  // Neighbours further than `tokens` away do not exist.
  const half = min(kernel >> 1, tokens)
  if (load<i32>(a, 24)) slidingMaximum(scores, out, tokens, half, scratch)
  else slidingMean(scores, out, tokens, half, kernel, scratch)
}

/** Maxima of 1, 2, 4, … neighbours; two of the widest that fits cover the window. scratch: [tokens + 2·half + 4] f32. */
function slidingMaximum(scores: usize, out: usize, tokens: i32, half: i32, scratch: usize): void {
  const lowest = f32x4.splat(-Infinity)
  const n = tokens + 2 * half, window = 2 * half + 1
  for (let i = 0; i < n + 4; i += 4) v128.store(scratch + (<usize>i << 2), lowest)
  memory.copy(scratch + (<usize>half << 2), scores, <usize>tokens << 2)
  let width = 1
  for (; 2 * width <= window; width *= 2) {
    const step = <usize>width << 2
    let i = 0, m = scratch
    for (; i + width + 4 <= n; i += 4, m += 16) v128.store(m, f32x4.max(v128.load(m), v128.load(m + step)))
    for (; i + width < n; i++, m += 4) store<f32>(m, max(load<f32>(m), load<f32>(m + step)))
  }
  const step = <usize>(window - width) << 2
  let i = 0
  for (; i + 4 <= tokens; i += 4, scratch += 16, out += 16) v128.store(out, f32x4.max(v128.load(scratch), v128.load(scratch + step)))
  for (; i < tokens; i++, scratch += 4, out += 4) store<f32>(out, max(load<f32>(scratch), load<f32>(scratch + step)))
}

/**
 * A window starts in one stretch of `window` scores and ends in the next: the sum from its start to the end of the one, plus the
 * sum from the start of the other to its end (van Herk). In f64, where nothing that was added is taken away again.
 * scratch: [tokens + 2·half] f64 sums to the end of a stretch, as many from its start.
 */
function slidingMean(scores: usize, out: usize, tokens: i32, half: i32, kernel: i32, scratch: usize): void {
  const n = tokens + 2 * half, window = 2 * half + 1
  const toEnd = scratch, fromStart = scratch + (<usize>n << 3)
  for (let first = 0; first < n; first += window) {
    const end = min(n, first + window)
    let sum: f64 = 0
    for (let i = first; i < end; i++) {
      if (<u32>(i - half) < <u32>tokens) sum += <f64>load<f32>(scores + (<usize>(i - half) << 2))
      store<f64>(fromStart + (<usize>i << 3), sum)
    }
    sum = 0
    for (let i = end - 1; i >= first; i--) {
      if (<u32>(i - half) < <u32>tokens) sum += <f64>load<f32>(scores + (<usize>(i - half) << 2))
      store<f64>(toEnd + (<usize>i << 3), sum)
    }
  }
  let place = 0
  for (let j = 0; j < tokens; j++, out += 4) {
    let sum = load<f64>(toEnd + (<usize>j << 3))
    if (place) sum += load<f64>(fromStart + (<usize>(j + window - 1) << 3))
    store<f32>(out, <f32>(sum / <f64>kernel))
    if (++place == window) place = 0
  }
}

// sumSets | out | scores | sets | stride | tokens |

export function sumSetsBlocks(a: usize): i32 {
  return 1
}

/** f32 sums in the order of the sets. */
export function sumSets(a: usize, block: i32, scratch: usize): void {
  const out = load<usize>(a), scores = load<usize>(a, 4)
  const sets = load<i32>(a, 8), step = load<usize>(a, 12) << 2, tokens = load<i32>(a, 16)
  let j = 0
  for (; j + 4 <= tokens; j += 4) {
    let from = scores + (<usize>j << 2)
    let sum = v128.load(from)
    for (let s = 1; s < sets; s++) sum = f32x4.add(sum, v128.load(from += step))
    v128.store(out + (<usize>j << 2), sum)
  }
  for (; j < tokens; j++) {
    let from = scores + (<usize>j << 2)
    let sum = load<f32>(from)
    for (let s = 1; s < sets; s++) sum += load<f32>(from += step)
    store<f32>(out + (<usize>j << 2), sum)
  }
}

// chunkScore | out | scores | sets | stride | tokens | chunk | mean |

export function chunkScoreBlocks(a: usize): i32 {
  setCost(load<i32>(a, 16) >> 8)
  return load<i32>(a, 8)
}

/** Block s: one set. */
export function chunkScore(a: usize, block: i32, scratch: usize): void {
  const offset = <usize>(block * load<i32>(a, 12)) << 2
  let out = load<usize>(a) + offset, scores = load<usize>(a, 4) + offset
  const tokens = load<i32>(a, 16), chunk = load<i32>(a, 20), mean = load<i32>(a, 24)
  for (let first = 0; first < tokens; first += chunk) {
    const length = min(chunk, tokens - first)
    const sum = sumOf(scores, length)
    const score = <f32>(mean ? sum / <f64>length : sum)
    for (let i = 0; i < length; i++, out += 4) store<f32>(out, score)
    scores += <usize>length << 2
  }
}

/** Σ of n f32 in f64, ascending. */
export function sumOf(x: usize, n: i32): f64 {
  let sum: f64 = 0
  for (let i = 0; i < n; i++, x += 4) sum += <f64>load<f32>(x)
  return sum
}
