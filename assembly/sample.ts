import { setCost } from './registers'
import { exp1, max4 } from './simd'

// llama.cpp's default order: penalty, top-k, top-p, min-p, temperature, draw. Top-p and min-p thus see the weights of
// temperature 1: e^(logit − largest). Sums run in f64 in a fixed order, so every build draws the same ids.

/** Where logits that are not finite are held: NaN and −∞ at the lowest f32, +∞ at the largest. */
function finite(x: f32): f32 {
  if (x != x) return -f32.MAX_VALUE
  return min(max(x, -f32.MAX_VALUE), f32.MAX_VALUE)
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

/** Moves the id at `at` of a heap of n ids down to its place; the first of all stands on top. */
function sink(heap: usize, at: i32, n: i32, logits: usize): void {
  const id = load<u32>(heap + (<usize>at << 2))
  for (let child = 2 * at + 1; child < n; child = 2 * at + 1) {
    let next = load<u32>(heap + (<usize>child << 2))
    if (child + 1 < n) {
      const other = load<u32>(heap + (<usize>child << 2), 4)
      if (before(logits, other, next)) next = other, child++
    }
    if (!before(logits, next, id)) break
    store<u32>(heap + (<usize>at << 2), next)
    at = child
  }
  store<u32>(heap + (<usize>at << 2), id)
}

/** Takes the first id out of a heap of n; it then stands at n − 1. */
function pop(heap: usize, n: i32, logits: usize): u32 {
  const id = load<u32>(heap), last = heap + (<usize>(n - 1) << 2)
  store<u32>(heap, load<u32>(last))
  store<u32>(last, id)
  sink(heap, 0, n - 1, logits)
  return id
}

/** e^((logit of id − largest) / temperature). */
// @ts-ignore: decorator
@inline
function weight(logits: usize, id: u32, largest: f32, temperature: f32): f32 {
  return exp1((load<f32>(logits + (<usize>id << 2)) - largest) / temperature)
}

/** Leaves the candidates of top-k and top-p, best first, at the end of the heap, read backwards. Returns how many. */
function cut(heap: usize, n: i32, logits: usize, largest: f32, topK: i32, topP: f32): i32 {
  for (let i = (n >> 1) - 1; i >= 0; i--) sink(heap, i, n, logits)
  const most = topK > 0 ? min(topK, n) : n
  let total: f64 = 0
  if (most == n) for (let i: u32 = 0; i < <u32>n; i++) total += weight(logits, i, largest, 1)
  let taken = 0
  if (most < n) for (; taken < most; taken++) total += weight(logits, pop(heap, n - taken, logits), largest, 1)
  let sum: f64 = 0
  for (let count = 0; count < most;) {
    const id = count < taken ? load<u32>(heap + (<usize>(n - 1 - count) << 2)) : pop(heap, n - count, logits)
    sum += weight(logits, id, largest, 1)
    count++
    if (topP < 1 && sum >= <f64>topP * total) return count
  }
  return most
}

/** Whether an id is at least minP as likely as the best. */
// @ts-ignore: decorator
@inline
function likely(logits: usize, id: u32, largest: f32, minP: f32): bool {
  return !(minP > 0) || weight(logits, id, largest, 1) >= minP
}

/** Draws one of the `count` ids that are read from `ids` on in steps of `step` bytes; those below minP of the best stay out. */
function draw(ids: usize, step: isize, count: i32, logits: usize, largest: f32, temperature: f32, minP: f32, state: usize): u32 {
  let total: f64 = 0, at = ids
  for (let i = 0; i < count; i++, at += step) {
    const id = load<u32>(at)
    if (likely(logits, id, largest, minP)) total += weight(logits, id, largest, temperature)
  }
  const target = random(state) * total
  let sum: f64 = 0
  at = ids
  for (let i = 0; i < count; i++, at += step) {
    const id = load<u32>(at)
    if (likely(logits, id, largest, minP)) sum += weight(logits, id, largest, temperature)
    if (sum > target) return id
  }
  return load<u32>(ids)
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
  for (let i: usize = 0; i < <usize>n; i++) {
    store<f32>(copy + (i << 2), finite(load<f32>(logits + (i << 2))))
    store<u32>(ids + (i << 2), <u32>i)
  }
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
    store<u32>(out, draw(ids + (<usize>(n - 1) << 2), -4, count, copy, largest, temperature, minP, state))
  } else store<u32>(out, draw(ids, 4, n, copy, largest, temperature, minP, state))
}
