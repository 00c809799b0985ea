import { keyNumbers } from './groups'
import { setCost } from './registers'
import { countOf, segmentOf, strideOf } from './segment'
import { mulAdd, sum4 } from './simd'

// keyScore | out | segments | kvHeads | stride | tokens | headDim | type | difference |

export function keyScoreBlocks(a: usize): i32 {
  setCost(<i32>(<i64>load<i32>(a, 16) * load<i32>(a, 20) / 500))
  return load<i32>(a, 8)
}

/** Σ x·y over `bytes` bytes of f32, whole vectors of 16. */
function dot(x: usize, y: usize, bytes: usize): f32 {
  let sum = f32x4.splat(0)
  for (const end = x + bytes; x < end; x += 16, y += 16) sum = mulAdd(v128.load(x), v128.load(y), sum)
  return sum4(sum)
}

/** Block h: one KV head. scratch: a key, the sum of the keys over their norms. */
export function keyScore(a: usize, block: i32, scratch: usize): void {
  const tokens = load<i32>(a, 16), headDim = load<i32>(a, 20), type = load<i32>(a, 24)
  const segment = segmentOf(load<usize>(a, 4), block), rows = min(tokens, countOf(segment))
  const bytes = <usize>strideOf(headDim) << 2, mean = scratch + bytes
  let out = load<usize>(a) + (<usize>(block * load<i32>(a, 12)) << 2)
  memory.fill(out, 0, <usize>tokens << 2)
  memory.fill(mean, 0, bytes)
  if (!load<i32>(a, 28)) {
    for (let r = 0; r < rows; r++, out += 4) {
      keyNumbers(segment, r, type, headDim, scratch)
      store<f32>(out, -sqrt<f32>(dot(scratch, scratch, bytes)))
    }
    return
  }
  for (let r = 0; r < rows; r++) {
    keyNumbers(segment, r, type, headDim, scratch)
    const norm = sqrt<f32>(dot(scratch, scratch, bytes))
    if (norm == 0) continue
    const by = f32x4.splat(1 / norm)
    for (let c: usize = 0; c < bytes; c += 16) v128.store(mean + c, mulAdd(v128.load(scratch + c), by, v128.load(mean + c)))
  }
  const length = sqrt<f32>(dot(mean, mean, bytes))
  for (let r = 0; r < rows; r++, out += 4) {
    keyNumbers(segment, r, type, headDim, scratch)
    const norms = sqrt<f32>(dot(scratch, scratch, bytes)) * length
    store<f32>(out, norms == 0 ? 0 : -dot(scratch, mean, bytes) / norms)
  }
}
