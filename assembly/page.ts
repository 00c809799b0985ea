import { setCost } from './registers'
import { segmentOf, strideOf } from './segment'
import { keyBytes, makeKeys, writeLargest } from './select'
import { exp4, max4, sum4 } from './simd'
import { liveOf, pagesOf } from './tiles'

// chooseChannels | channels | temperature | query | heads | kvHeads | headDim | count | pageSize |

export function chooseChannelsBlocks(a: usize): i32 {
  return load<i32>(a, 16)
}

/** Block h: KV head h. f32 sums in the order of the heads, the temperature in f64. scratch: [3, headDim + 16] f32. */
export function chooseChannels(a: usize, block: i32, scratch: usize): void {
  const heads = load<i32>(a, 12), kvHeads = load<i32>(a, 16), headDim = load<i32>(a, 20)
  const group = heads / kvHeads
  const wanted = load<i32>(a, 24), count = min(wanted, headDim)
  const bytes = <usize>headDim << 2
  const query = load<usize>(a, 8) + <usize>(block * group) * bytes
  const channels = load<usize>(a) + (<usize>(block * wanted) << 2)
  const sums = scratch, sizes = scratch + keyBytes(headDim)
  for (let c = 0; c < headDim; c++) {
    let sum: f32 = 0, size: f32 = 0
    for (let g = 0, q = query + (<usize>c << 2); g < group; g++, q += bytes) {
      sum += load<f32>(q)
      size += abs(load<f32>(q))
    }
    store<f32>(sums + (<usize>c << 2), sum)
    store<f32>(sizes + (<usize>c << 2), size)
  }
  makeKeys(sizes, sizes, headDim)
  writeLargest(sizes, headDim, count, 0, channels)
  for (let g = 0; g < group; g++) {
    const q = query + <usize>g * bytes
    let chosen: f64 = 0, all: f64 = 0
    for (let i = 0; i < count; i++) chosen += <f64>abs(load<f32>(q + (load<usize>(channels + (<usize>i << 2)) << 2)))
    for (let c = 0; c < headDim; c++) all += <f64>abs(load<f32>(q + (<usize>c << 2)))
    const temperature: f32 = chosen == 0 ? 1 : <f32>Math.sqrt(<f64>headDim * chosen / all)
    store<f32>(load<usize>(a, 4) + (<usize>(block * group + g) << 2), temperature)
  }
  if (load<i32>(a, 28) == 1) return
  for (let i = 0; i < count; i++) {
    const at = channels + (<usize>i << 2)
    const c = load<i32>(at)
    if (load<f32>(sums + (<usize>c << 2)) > 0) store<i32>(at, strideOf(headDim) + c)
  }
}

// pageWeights | out | scores | temperature | segments | heads | kvHeads | pageSize | stride |

export function pageWeightsBlocks(a: usize): i32 {
  setCost((load<i32>(a, 28) * (load<i32>(a, 16) / load<i32>(a, 20))) >> 5)
  return load<i32>(a, 20)
}

/** Block h: KV head h. scratch: [stride + 4] f32. */
export function pageWeights(a: usize, block: i32, scratch: usize): void {
  const kvHeads = load<i32>(a, 20), group = load<i32>(a, 16) / kvHeads
  const pageSize = load<i32>(a, 24), row = load<usize>(a, 28) << 2
  const out = load<usize>(a) + <usize>block * row
  const live = liveOf(segmentOf(load<usize>(a, 12), block)), pages = pagesOf(live, pageSize)
  if (!pages) return
  const last = live - (pages - 1) * pageSize
  for (let g = 0; g < group; g++) {
    const head = block * group + g
    const total = softmaxParts(load<usize>(a, 4) + <usize>head * row, scratch, pages, temperatureOf(load<usize>(a, 8), head), pageSize, last)
    const by: f32 = <f32>(1.0 / (total * <f64>group))
    const by4 = f32x4.splat(by)
    let i = 0
    for (; i + 4 <= pages; i += 4) {
      const at = <usize>i << 2
      const x = f32x4.mul(v128.load(scratch + at), by4)
      v128.store(out + at, g ? f32x4.add(v128.load(out + at), x) : x)
    }
    for (; i < pages; i++) {
      const at = <usize>i << 2
      const x = load<f32>(scratch + at) * by
      store<f32>(out + at, g ? load<f32>(out + at) + x : x)
    }
  }
}

// @ts-ignore: decorator
@inline
export function temperatureOf(temperatures: usize, head: i32): f32 {
  return temperatures ? load<f32>(temperatures + (<usize>head << 2)) : 1
}

/**
 * e^((score − largest) / temperature) of n ≥ 1 pages to `out`, and what they sum to over tokens: `tokens` in each page but the
 * last. f32 sums of 64 pages, added in f64. out: n rounded up to 4.
 */
export function softmaxParts(scores: usize, out: usize, n: i32, temperature: f32, tokens: i32, last: i32): f64 {
  memory.copy(out, scores, <usize>n << 2)
  for (let i = n; i & 3; i++) store<f32>(out + (<usize>i << 2), -Infinity)
  let top = v128.load(out)
  for (let i = 4; i < n; i += 4) top = f32x4.max(top, v128.load(out + (<usize>i << 2)))
  top = f32x4.splat(max4(top))
  const by = f32x4.splat(temperature)
  for (let i = 0; i < n; i += 4) {
    const at = out + (<usize>i << 2)
    v128.store(at, exp4(f32x4.div(f32x4.sub(v128.load(at), top), by)))
  }
  const end = out + (<usize>(n - 1) << 2)
  const newest = load<f32>(end)
  store<f32>(end, 0)
  let total: f64 = 0
  for (let i = 0; i < n; i += 64) {
    let sum = f32x4.splat(0)
    for (let j = i, stop = min(n, i + 64); j < stop; j += 4) sum = f32x4.add(sum, v128.load(out + (<usize>j << 2)))
    total += <f64>sum4(sum)
  }
  store<f32>(end, newest)
  return total * <f64>tokens + <f64>newest * <f64>last
}

export { pageScore, pageScoreBlocks, questScore, questScoreBlocks } from './pageScore'
