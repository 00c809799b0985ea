import { setCost } from './registers'
import { exp1, exp4, max4 } from './simd'

// llama.cpp's default order: penalty, top-k, top-p, min-p, temperature, draw. Top-p and min-p thus see the weights of
// temperature 1: e^(logit − largest). Sums run in f64 in a fixed order, so every build draws the same ids.

/** Where logits that are not finite are held: NaN and −∞ at the lowest f32, +∞ at the largest. */
function finite(x: f32): f32 {
  if (x != x) return -f32.MAX_VALUE
  return min(max(x, -f32.MAX_VALUE), f32.MAX_VALUE)
}

/** n logits, each as `finite` takes it. pmin and pmax keep their first operand where the second is NaN. */
function takeFinite(to: usize, logits: usize, n: i32): void {
  const most = f32x4.splat(f32.MAX_VALUE), least = f32x4.splat(-f32.MAX_VALUE)
  let i = 0
  for (; i + 4 <= n; i += 4) v128.store(to + (<usize>i << 2), f32x4.pmin(most, f32x4.pmax(least, v128.load(logits + (<usize>i << 2)))))
  for (; i < n; i++) store<f32>(to + (<usize>i << 2), finite(load<f32>(logits + (<usize>i << 2))))
}

/** First of the largest of n logits, each as `finite` takes it. */
function argmax(logits: usize, n: i32): i32 {
  // pmax keeps its first operand where the second is NaN.
  let top = f32x4.splat(-f32.MAX_VALUE)
  let i = 0
  for (; i + 4 <= n; i += 4) top = f32x4.pmax(top, v128.load(logits + (<usize>i << 2)))
  let largest = min(max4(top), f32.MAX_VALUE)
  for (; i < n; i++) largest = max(largest, finite(load<f32>(logits + (<usize>i << 2))))
  // Where nothing lies above the lowest all count as it, and the first of all is taken.
  if (largest == -f32.MAX_VALUE) return 0
  top = f32x4.splat(largest)
  for (i = 0; i + 4 <= n; i += 4)
    if (v128.any_true(f32x4.ge(v128.load(logits + (<usize>i << 2)), top))) break
  while (i < n && !(load<f32>(logits + (<usize>i << 2)) >= largest)) i++
  return i
}

/** SplitMix64 (Steele, Lea, Flood, OOPSLA 2014, doi 10.1145/2660193.2660195; constants as in java.util.SplittableRandom): any state is a good seed. In [0, 1). */
function random(state: usize): f64 {
  let z = load<u64>(state) + 0x9e3779b97f4a7c15
  store<u64>(state, z)
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9
  z = (z ^ z >> 27) * 0x94d049bb133111eb
  z ^= z >> 31
  return <f64>(z >> 11) * (1.0 / 9007199254740992.0)
}

/** Whether id a comes before id b: the larger logit, else the lower id. */
// @ts-ignore: decorator
@inline
function before(logits: usize, a: u32, b: u32): bool {
  const x = load<f32>(logits + (<usize>a << 2)), y = load<f32>(logits + (<usize>b << 2))
  return x > y || (x == y && a < b)
}

/** Moves the id at `at` of a heap of n ids down to its place; on top stands the best of all, or the worst. */
function sink(heap: usize, at: i32, n: i32, logits: usize, best: bool): void {
  const id = load<u32>(heap + (<usize>at << 2))
  for (let child = 2 * at + 1; child < n; child = 2 * at + 1) {
    let next = load<u32>(heap + (<usize>child << 2))
    if (child + 1 < n) {
      const other = load<u32>(heap + (<usize>child << 2), 4)
      if (before(logits, other, next) == best) next = other, child++
    }
    if (before(logits, next, id) != best) break
    store<u32>(heap + (<usize>at << 2), next)
    at = child
  }
  store<u32>(heap + (<usize>at << 2), id)
}

/** The first m of n ids in their order. One pass over the logits: few of them get past the last of the m best so far. */
function first(ids: usize, m: i32, n: i32, logits: usize): void {
  for (let i = 0; i < m; i++) store<u32>(ids + (<usize>i << 2), i)
  for (let i = (m >> 1) - 1; i >= 0; i--) sink(ids, i, m, logits, false)
  let last = load<f32>(logits + (<usize>load<u32>(ids) << 2))
  for (let i = m; i < n;) {
    const at = logits + (<usize>i << 2)
    if (i + 16 <= n) {
      const over = f32x4.splat(last)
      const any = v128.or(v128.or(f32x4.gt(v128.load(at), over), f32x4.gt(v128.load(at, 16), over)), v128.or(f32x4.gt(v128.load(at, 32), over), f32x4.gt(v128.load(at, 48), over)))
      if (!v128.any_true(any)) {
        i += 16
        continue
      }
    }
    // Of equal logits the lower id comes first, and lower ones were here before.
    for (const end = min(n, i + 16); i < end; i++) {
      if (!(load<f32>(logits + (<usize>i << 2)) > last)) continue
      store<u32>(ids, i)
      sink(ids, 0, m, logits, false)
      last = load<f32>(logits + (<usize>load<u32>(ids) << 2))
    }
  }
  for (let end = m - 1; end > 0; end--) {
    const id = load<u32>(ids), to = ids + (<usize>end << 2)
    store<u32>(ids, load<u32>(to))
    store<u32>(to, id)
    sink(ids, 0, end, logits, false)
  }
}

/** e^((logit of id − largest) / temperature). */
// @ts-ignore: decorator
@inline
function weight(logits: usize, id: u32, largest: f32, temperature: f32): f32 {
  return exp1((load<f32>(logits + (<usize>id << 2)) - largest) / temperature)
}

/** `weight` of four neighbours; 0 where an id is less than minP as likely as the best. */
// @ts-ignore: decorator
@inline
function weights4(logits: usize, largest: v128, temperature: v128, minP: f32): v128 {
  const below = f32x4.sub(v128.load(logits), largest)
  const weights = exp4(f32x4.div(below, temperature))
  return minP > 0 ? v128.and(weights, f32x4.ge(exp4(below), f32x4.splat(minP))) : weights
}

/** Σ of the weights of n ids, ascending, as long as it is not beyond `target`: where it is, the id that took it there is left in `reached`. */
function sumWeights(logits: usize, n: i32, largest: f32, temperature: f32, minP: f32, target: f64): f64 {
  const most = f32x4.splat(largest), heat = f32x4.splat(temperature)
  let sum: f64 = 0
  for (let i = 0; i < n; i += 4, logits += 16) {
    // Of the last four some may lie behind the last id: they are made and not added.
    const w = weights4(logits, most, heat, minP), left = n - i
    sum += f32x4.extract_lane(w, 0)
    if (sum > target) return reach(i, sum)
    if (left > 1) sum += f32x4.extract_lane(w, 1)
    if (sum > target) return reach(i + 1, sum)
    if (left > 2) sum += f32x4.extract_lane(w, 2)
    if (sum > target) return reach(i + 2, sum)
    if (left > 3) sum += f32x4.extract_lane(w, 3)
    if (sum > target) return reach(i + 3, sum)
  }
  return reach(0, sum)
}

let reached: u32 = 0
function reach(id: u32, sum: f64): f64 {
  reached = id
  return sum
}

/** Takes the best id out of a heap of n; it then stands at n − 1. */
function pop(heap: usize, n: i32, logits: usize): u32 {
  const id = load<u32>(heap), last = heap + (<usize>(n - 1) << 2)
  store<u32>(heap, load<u32>(last))
  store<u32>(last, id)
  sink(heap, 0, n - 1, logits, true)
  return id
}

/** Where top-k leaves all ids, so many are tried for top-p before all of them become a heap. */
// @ts-ignore: decorator
@inline
const FIRST: i32 = 1024

/** The candidates of top-k and top-p into ids, best first. Returns how many. */
function cut(ids: usize, n: i32, logits: usize, largest: f32, topK: i32, topP: f32): i32 {
  const most = topK > 0 ? min(topK, n) : n
  const m = most < n ? most : min(n, FIRST)
  first(ids, m, n, logits)
  let total: f64 = 0
  if (most < n) for (let i = 0; i < m; i++) total += weight(logits, load<u32>(ids + (<usize>i << 2)), largest, 1)
  else total = sumWeights(logits, n, largest, 1, 0, Infinity)
  let sum: f64 = 0
  for (let i = 0; i < m; i++) {
    sum += weight(logits, load<u32>(ids + (<usize>i << 2)), largest, 1)
    if (topP < 1 && sum >= <f64>topP * total) return i + 1
  }
  return m < most ? cutAll(ids, n, logits, largest, <f64>topP * total) : most
}

/** The best ids whose weights reach `share`, best first, where they are many. */
function cutAll(ids: usize, n: i32, logits: usize, largest: f32, share: f64): i32 {
  for (let i = 0; i < n; i++) store<u32>(ids + (<usize>i << 2), i)
  for (let i = (n >> 1) - 1; i >= 0; i--) sink(ids, i, n, logits, true)
  let sum: f64 = 0, count = 0
  while (count < n && !(sum >= share)) sum += weight(logits, pop(ids, n - count++, logits), largest, 1)
  for (let i = ids, j = ids + (<usize>(n - 1) << 2); i < j; i += 4, j -= 4) {
    const id = load<u32>(i)
    store<u32>(i, load<u32>(j))
    store<u32>(j, id)
  }
  return count
}

/** Whether an id is at least minP as likely as the best. */
// @ts-ignore: decorator
@inline
function likely(logits: usize, id: u32, largest: f32, minP: f32): bool {
  return !(minP > 0) || weight(logits, id, largest, 1) >= minP
}

/** Draws one of the `count` ids; those below minP of the best stay out. */
function draw(ids: usize, count: i32, logits: usize, largest: f32, temperature: f32, minP: f32, state: usize): u32 {
  let total: f64 = 0
  for (let i = 0; i < count; i++) {
    const id = load<u32>(ids + (<usize>i << 2))
    if (likely(logits, id, largest, minP)) total += weight(logits, id, largest, temperature)
  }
  const target = random(state) * total
  let sum: f64 = 0
  for (let i = 0; i < count; i++) {
    const id = load<u32>(ids + (<usize>i << 2))
    if (likely(logits, id, largest, minP)) sum += weight(logits, id, largest, temperature)
    if (sum > target) return id
  }
  return load<u32>(ids)
}

/** Draws one of all n ids. */
function drawAny(n: i32, logits: usize, largest: f32, temperature: f32, minP: f32, state: usize): u32 {
  const total = sumWeights(logits, n, largest, temperature, minP, Infinity)
  sumWeights(logits, n, largest, temperature, minP, random(state) * total)
  return reached
}

export function sampleBlocks(a: usize): i32 {
  setCost(load<i32>(a, 8) / 20)
  return 1
}

/** scratch: n logits, then n ids. */
export function sample(a: usize, block: i32, scratch: usize): void {
  const out = load<usize>(a), logits = load<usize>(a, 4), n = load<i32>(a, 8)
  const history = load<usize>(a, 12), historyCount = load<usize>(a, 16)
  const temperature = load<f32>(a, 24), topK = load<i32>(a, 28), topP = load<f32>(a, 32), penalty = load<f32>(a, 40)
  if (!(temperature > 0)) {
    store<u32>(out, argmax(logits, n))
    return
  }
  const copy = scratch, ids = scratch + (<usize>n << 2)
  takeFinite(copy, logits, n)
  const seen = history && historyCount ? load<u32>(historyCount) : 0
  for (let i: usize = 0; i < <usize>seen; i++) {
    const id = <usize>load<u32>(history + (i << 2))
    if (id >= <usize>n) continue
    // From the original, so that an id that occurs twice is penalised once.
    const x = finite(load<f32>(logits + (id << 2)))
    store<f32>(copy + (id << 2), finite(x > 0 ? x / penalty : x * penalty))
  }
  const largest = load<f32>(copy + (<usize>argmax(copy, n) << 2))
  const minP = min<f32>(load<f32>(a, 36), 1)
  const state = load<usize>(a, 20)
  if ((topK > 0 && topK < n) || topP < 1) {
    const count = cut(ids, n, copy, largest, topK, topP)
    store<u32>(out, draw(ids, count, copy, largest, temperature, minP, state))
  } else store<u32>(out, drawAny(n, copy, largest, temperature, minP, state))
}
