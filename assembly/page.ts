import { setCost } from './registers'
import { segmentOf, strideOf } from './segment'
import { keyBytes, makeKeys, writeLargest } from './select'
import { exp1, exp4, max4, sum4 } from './simd'
import { liveOf, pagesOf } from './tiles'

// chooseChannels | channels | temperature | query | heads | kvHeads | headDim | count | pageSize | square |

export function chooseChannelsBlocks(a: usize): i32 {
  return load<i32>(a, 16)
}

/** Block h: KV head h. f32 sums in the order of the heads, the temperature in f64. scratch: [3, headDim + 16] f32. */
export function chooseChannels(a: usize, block: i32, scratch: usize): void {
  const heads = load<i32>(a, 12), kvHeads = load<i32>(a, 16), headDim = load<i32>(a, 20)
  const group = heads / kvHeads
  const given = load<f32>(a, 32), square = given == 0 ? <f64>headDim : <f64>given
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
    const temperature: f32 = chosen == 0 ? 1 : <f32>Math.sqrt(square * chosen / all)
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

/** Block h: KV head h. scratch: [stride + 16] f32. */
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
 * last. Sums of 64 pages in f32, of those in f64. out: n rounded up to 16.
 */
export function softmaxParts(scores: usize, out: usize, n: i32, temperature: f32, tokens: i32, last: i32): f64 {
  memory.copy(out, scores, <usize>n << 2)
  for (let i = n; i & 15; i++) store<f32>(out + (<usize>i << 2), -Infinity)
  const stop = out + (<usize>((n + 15) & ~15) << 2)
  let top = v128.load(out)
  for (let at = out; at < stop; at += 16) top = f32x4.pmax(top, v128.load(at))
  top = f32x4.splat(max4(top))
  const by = f32x4.splat(1 / temperature)
  const end = out + (<usize>(n - 1) << 2)
  const newest = exp1((load<f32>(end) - f32x4.extract_lane(top, 0)) * f32x4.extract_lane(by, 0))
  store<f32>(end, -Infinity)
  let total: f64 = 0
  while (out < stop) {
    let sum = f32x4.splat(0)
    for (const block = min(stop, out + 256); out < block; out += 64) {
      // Four at a time share the constants of the exponential, which engines load anew at each use.
      const e0 = exp4(f32x4.mul(f32x4.sub(v128.load(out), top), by)), e1 = exp4(f32x4.mul(f32x4.sub(v128.load(out, 16), top), by))
      const e2 = exp4(f32x4.mul(f32x4.sub(v128.load(out, 32), top), by)), e3 = exp4(f32x4.mul(f32x4.sub(v128.load(out, 48), top), by))
      v128.store(out, e0)
      v128.store(out, e1, 16)
      v128.store(out, e2, 32)
      v128.store(out, e3, 48)
      sum = f32x4.add(sum, f32x4.add(f32x4.add(e0, e1), f32x4.add(e2, e3)))
    }
    total += <f64>sum4(sum)
  }
  store<f32>(end, newest)
  return total * <f64>tokens + <f64>newest * <f64>last
}

export { pageScore, pageScoreBlocks, questScore, questScoreBlocks } from './pageScore'
