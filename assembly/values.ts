import { softmaxParts, temperatureOf } from './page'
import { setCost, tokens } from './registers'
import { groupOf, unpackValue } from './groups'
import { countOf, I16, Q8, segmentOf, strideOf, tailType, valueOf, valueScaleOf } from './segment'
import { mulAdd } from './simd'
import { liveOf } from './tiles'

// sumValues | sums | segments | kvHeads | headDim | type | all |

export function sumValuesBlocks(a: usize): i32 {
  const kvHeads = load<i32>(a, 8)
  let most = tokens()
  if (load<i32>(a, 20)) for (let h = 0; h < kvHeads; h++) most = max(most, liveOf(segmentOf(load<usize>(a, 4), h)))
  setCost(most >> 5)
  return kvHeads * (strideOf(load<i32>(a, 12)) >> 4)
}

/** Block: 16 channels of one KV head. f32 sums row by row, so that adding later gives the bits of summing at once. scratch: [2, 16] f32. */
export function sumValues(a: usize, block: i32, scratch: usize): void {
  const headDim = load<i32>(a, 12), type = load<i32>(a, 16), all = load<i32>(a, 20)
  const vectors = strideOf(headDim) >> 4
  const kvHead = block / vectors, channel = (block % vectors) << 4
  const segment = segmentOf(load<usize>(a, 4), kvHead)
  const sums = load<usize>(a) + (<usize>(kvHead * headDim + channel) << 2), bytes = <usize>min(16, headDim - channel) << 2
  memory.fill(scratch, 0, 64)
  if (!all) memory.copy(scratch, sums, bytes)
  let s0 = v128.load(scratch), s1 = v128.load(scratch, 16), s2 = v128.load(scratch, 32), s3 = v128.load(scratch, 48)
  for (let row = all ? 0 : countOf(segment), end = liveOf(segment); row < end; row++) {
    let x = valueOf(segment, row, tailType(type), headDim) + (<usize>channel << (type == I16 ? 1 : 2))
    if (type == I16) {
      const scale = v128.load32_splat(valueScaleOf(segment, row, type, headDim))
      s0 = mulAdd(f32x4.convert_i32x4_s(v128.load16x4_s(x)), scale, s0)
      s1 = mulAdd(f32x4.convert_i32x4_s(v128.load16x4_s(x, 8)), scale, s1)
      s2 = mulAdd(f32x4.convert_i32x4_s(v128.load16x4_s(x, 16)), scale, s2)
      s3 = mulAdd(f32x4.convert_i32x4_s(v128.load16x4_s(x, 24)), scale, s3)
      continue
    }
    if (type >= Q8 && row < load<i32>(segment, 4)) {
      x = scratch + 64
      unpackValue(groupOf(segment, row, type, headDim), row & 63, type, headDim, x, channel >> 4, 1)
    }
    s0 = f32x4.add(v128.load(x), s0)
    s1 = f32x4.add(v128.load(x, 16), s1)
    s2 = f32x4.add(v128.load(x, 32), s2)
    s3 = f32x4.add(v128.load(x, 48), s3)
  }
  v128.store(scratch, s0)
  v128.store(scratch, s1, 16)
  v128.store(scratch, s2, 32)
  v128.store(scratch, s3, 48)
  memory.copy(sums, scratch, bytes)
}

// blendMean | out | sums | scores | temperature | rows | counts | segments | sets | capacity | heads | kvHeads | headDim | stride |

export function blendMeanBlocks(a: usize): i32 {
  setCost(load<i32>(a, 48) >> 5)
  return load<i32>(a, 36)
}

/** Block h: query head h. scratch: [stride + 16] f32. */
export function blendMean(a: usize, block: i32, scratch: usize): void {
  const heads = load<i32>(a, 36), headDim = load<i32>(a, 44)
  const kvHead = block * load<i32>(a, 40) / heads, set = block * load<i32>(a, 28) / heads
  const live = liveOf(segmentOf(load<usize>(a, 24), kvHead)), n = load<i32>(load<usize>(a, 20) + (<usize>set << 2))
  // Every row was read: nothing is missing, to the last bit.
  if (n >= live) return
  const total = softmaxParts(load<usize>(a, 8) + <usize>block * (load<usize>(a, 48) << 2), scratch, live, temperatureOf(load<usize>(a, 12), block), 1, 1)
  let rows = load<usize>(a, 16) + (<usize>(set * load<i32>(a, 32)) << 2)
  let chosen: f64 = 0
  for (let i = 0; i < n; i++, rows += 4) chosen += <f64>load<f32>(scratch + (load<usize>(rows) << 2))
  const share = chosen / total
  const kept: f32 = <f32>share, missing: f32 = <f32>((1 - share) / <f64>live)
  let out = load<usize>(a) + (<usize>(block * headDim) << 2), sums = load<usize>(a, 4) + (<usize>(kvHead * headDim) << 2)
  const keep = f32x4.splat(kept), add = f32x4.splat(missing)
  let c = 0
  for (; c + 4 <= headDim; c += 4, out += 16, sums += 16)
    v128.store(out, f32x4.add(f32x4.mul(v128.load(out), keep), f32x4.mul(v128.load(sums), add)))
  for (; c < headDim; c++, out += 4, sums += 4) store<f32>(out, load<f32>(out) * kept + load<f32>(sums) * missing)
}
