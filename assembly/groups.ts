import { F32, I16, keyOf, keyScaleOf, Q4, Q8, strideOf, valueOf, valueScaleOf } from './segment'
import { mulAdd } from './simd'

// Groups of 64 packed rows, as src/kernels/rows.ts draws them.

/** Ranges below 2^−116 count as nothing: L / range would be no f32. */
// @ts-ignore: decorator
@inline
const SMALLEST_RANGE: f32 = 1.2037062152420224e-35

/** Bytes of the codes of one key or value. */
// @ts-ignore: decorator
@inline
function codeBytes(type: i32, headDim: i32): usize {
  return <usize>strideOf(headDim) >> (type - Q8)
}

/** Bytes of the codes of 16 channels. */
// @ts-ignore: decorator
@inline
function vectorStep(type: i32): usize {
  return <usize>16 >> (type - Q8)
}

/** The largest n. */
// @ts-ignore: decorator
@inline
function mostOf(type: i32): f32 {
  return type == Q8 ? 255 : type == Q4 ? 15 : 3
}

// @ts-ignore: decorator
@inline
function valuesAt(group: usize, type: i32, headDim: i32): usize {
  return group + (codeBytes(type, headDim) << 6)
}

/** Scales [stride] f32 of a group's keys; their offsets follow. */
// @ts-ignore: decorator
@inline
export function keyScalesAt(group: usize, type: i32, headDim: i32): usize {
  return group + (codeBytes(type, headDim) << 7)
}

/** Scales [64] f32 of a group's values; their offsets [64] and the positions [64] u32 follow. */
// @ts-ignore: decorator
@inline
export function valueScalesAt(group: usize, type: i32, headDim: i32): usize {
  return keyScalesAt(group, type, headDim) + (<usize>strideOf(headDim) << 3)
}

/** The group of a row in base. */
// @ts-ignore: decorator
@inline
export function groupOf(segment: usize, row: i32, type: i32, headDim: i32): usize {
  const bytes = (codeBytes(type, headDim) << 7) + (<usize>strideOf(headDim) << 3) + 768
  return load<usize>(segment, 8) + <usize>(row >> 6) * bytes
}

/** Codes of 8 of the 16 channels that start at byte `at`: the first (0) or the others (1). */
// @ts-ignore: decorator
@inline
function codes8(at: usize, half: i32, type: i32): v128 {
  if (type == Q8) return half ? v128.load8x8_s(at, 8) : v128.load8x8_s(at)
  if (type == Q4) {
    const x = v128.load8x8_u(at)
    return i16x8.sub(half ? i16x8.shr_u(x, 4) : v128.and(x, i16x8.splat(15)), i16x8.splat(8))
  }
  // Four bytes twice; the first four lanes two bits higher, so that one shift serves all eight.
  const x = i16x8.mul(i16x8.extend_low_i8x16_u(v128.load32_splat(at)), i16x8(4, 4, 4, 4, 1, 1, 1, 1))
  return i16x8.sub(v128.and(i16x8.shr_u(x, half ? 6 : 2), i16x8.splat(3)), i16x8.splat(2))
}

/** Codes of 64 keys (or values) as i16 [64, stride]. */
export function widenCodes(from: usize, to: usize, type: i32, headDim: i32): void {
  const step = vectorStep(type)
  for (const end = from + (codeBytes(type, headDim) << 6); from < end; from += step, to += 32) {
    v128.store(to, codes8(from, 0, type))
    v128.store(to, codes8(from, 1, type), 16)
  }
}

/** A group's keys and values as codes i16 [64, stride]. */
export function widenGroup(group: usize, keys: usize, values: usize, type: i32, headDim: i32): void {
  widenCodes(group, keys, type, headDim)
  widenCodes(valuesAt(group, type, headDim), values, type, headDim)
}

/** A group's key as numbers f32 [stride]. */
function unpackKey(group: usize, row: usize, type: i32, headDim: i32, to: usize): void {
  const step = vectorStep(type), offsets = <usize>strideOf(headDim) << 2
  let from = group + row * codeBytes(type, headDim)
  for (let scale = keyScalesAt(group, type, headDim), end = scale + offsets; scale < end; scale += 64, from += step, to += 64)
    for (let half = 0; half < 2; half++) {
      const x = codes8(from, half, type), at = <usize>half << 5
      v128.store(to + at, mulAdd(f32x4.convert_i32x4_s(i32x4.extend_low_i16x8_s(x)), v128.load(scale + at), v128.load(scale + at + offsets)))
      v128.store(to + at, mulAdd(f32x4.convert_i32x4_s(i32x4.extend_high_i16x8_s(x)), v128.load(scale + at, 16), v128.load(scale + at + offsets, 16)), 16)
    }
}

/** A group's value as numbers: `count` vectors of 16 channels from the vector `first` on. */
export function unpackValue(group: usize, row: usize, type: i32, headDim: i32, to: usize, first: i32, count: i32): void {
  const step = vectorStep(type), scales = valueScalesAt(group, type, headDim) + (row << 2)
  const scale = v128.load32_splat(scales), offset = v128.load32_splat(scales, 256)
  let from = valuesAt(group, type, headDim) + row * codeBytes(type, headDim) + <usize>first * step
  for (const end = to + (<usize>count << 6); to < end; from += step, to += 64)
    for (let half = 0; half < 2; half++) {
      const x = codes8(from, half, type), at = to + (<usize>half << 5)
      v128.store(at, mulAdd(f32x4.convert_i32x4_s(i32x4.extend_low_i16x8_s(x)), scale, offset))
      v128.store(at, mulAdd(f32x4.convert_i32x4_s(i32x4.extend_high_i16x8_s(x)), scale, offset), 16)
    }
}

/** A row's key or value as it lies, of a type that is not packed, as numbers f32 [stride]. */
function copyNumbers(from: usize, scales: usize, type: i32, headDim: i32, to: usize): void {
  const end = to + (<usize>strideOf(headDim) << 2)
  if (type == I16) {
    const scale = v128.load32_splat(scales)
    for (; to < end; to += 16, from += 8) v128.store(to, f32x4.mul(f32x4.convert_i32x4_s(v128.load16x4_s(from)), scale))
  } else for (; to < end; to += 16, from += 16) v128.store(to, v128.load(from))
}

/** A row's key as numbers f32 [stride]. */
export function keyNumbers(segment: usize, row: i32, type: i32, headDim: i32, to: usize): void {
  if (type < Q8) copyNumbers(keyOf(segment, row, type, headDim), keyScaleOf(segment, row, type, headDim), type, headDim, to)
  else if (row < load<i32>(segment, 4)) unpackKey(groupOf(segment, row, type, headDim), row & 63, type, headDim, to)
  else copyNumbers(keyOf(segment, row, F32, headDim), 0, F32, headDim, to)
}

/** A row's value as numbers f32 [stride]. An offset is in padding too, which counts as zeros. */
export function valueNumbers(segment: usize, row: i32, type: i32, headDim: i32, to: usize): void {
  if (type < Q8) copyNumbers(valueOf(segment, row, type, headDim), valueScaleOf(segment, row, type, headDim), type, headDim, to)
  else if (row < load<i32>(segment, 4)) {
    const stride = strideOf(headDim)
    unpackValue(groupOf(segment, row, type, headDim), row & 63, type, headDim, to, 0, stride >> 4)
    if (headDim < stride) memory.fill(to + (<usize>headDim << 2), 0, <usize>(stride - headDim) << 2)
  } else copyNumbers(valueOf(segment, row, F32, headDim), 0, F32, headDim, to)
}

/** The keys of `n` rows from r on as f32 [n, stride]: where they lie, or at `to`. Packed rows only; 64 rows do not straddle. */
export function keyTile(segment: usize, r: i32, n: i32, type: i32, headDim: i32, to: usize): usize {
  if (r >= load<i32>(segment, 4)) return keyOf(segment, r, F32, headDim)
  for (let i = 0; i < n; i++) keyNumbers(segment, r + i, type, headDim, to + (<usize>(i * strideOf(headDim)) << 2))
  return to
}

/** Scale, offset and L / range of four ranges at once: at `scales`, `offsets` bytes behind, at `inverses`. */
// @ts-ignore: decorator
@inline
function spread(low: v128, high: v128, steps: f32, scales: usize, offsets: usize, inverses: usize): void {
  const wide = f32x4.sub(high, low), some = f32x4.ge(wide, f32x4.splat(SMALLEST_RANGE))
  const scale = f32x4.div(v128.and(wide, some), f32x4.splat(steps))
  v128.store(scales, scale)
  v128.store(scales + offsets, f32x4.add(low, f32x4.mul(scale, f32x4.splat((steps + 1) / 2))))
  v128.store(inverses, v128.and(f32x4.div(f32x4.splat(steps), wide), some))
}

/** n of eight numbers, as i16. lows, inverses: [8] f32. */
// @ts-ignore: decorator
@inline
function encode8(x: usize, lows: usize, inverses: usize, steps: v128): v128 {
  const zero = f32x4.splat(0)
  const a = f32x4.mul(f32x4.sub(v128.load(x), v128.load(lows)), v128.load(inverses))
  const b = f32x4.mul(f32x4.sub(v128.load(x, 16), v128.load(lows, 16)), v128.load(inverses, 16))
  return i16x8.narrow_i32x4_s(
    i32x4.trunc_sat_f32x4_s(f32x4.min(f32x4.max(f32x4.nearest(a), zero), steps)),
    i32x4.trunc_sat_f32x4_s(f32x4.min(f32x4.max(f32x4.nearest(b), zero), steps)))
}

/** Codes of 16 numbers. */
// @ts-ignore: decorator
@inline
function encode16(x: usize, to: usize, lows: usize, inverses: usize, type: i32): void {
  const steps = f32x4.splat(mostOf(type))
  const a = encode8(x, lows, inverses, steps), b = encode8(x + 32, lows + 32, inverses + 32, steps)
  if (type == Q8) v128.store(to, i8x16.narrow_i16x8_s(i16x8.sub(a, i16x8.splat(128)), i16x8.sub(b, i16x8.splat(128))))
  else {
    const x = v128.or(a, i16x8.shl(b, 4))
    if (type == Q4) v128.store64_lane(to, i8x16.narrow_i16x8_u(x, x), 0)
    else {
      const y = v128.or(x, i16x8.shl(v128.shuffle<i16>(x, x, 4, 5, 6, 7, 4, 5, 6, 7), 2))
      v128.store32_lane(to, i8x16.narrow_i16x8_u(y, y), 0)
    }
  }
}

/** A group of 64 rows: keys, values f32 [64, stride], positions [64] u32. scratch: [40] f32. */
export function packGroup(group: usize, keys: usize, values: usize, positions: usize, headDim: i32, type: i32, scratch: usize): void {
  const stride = <usize>strideOf(headDim) << 2, inverses = scratch + 64
  const step = vectorStep(type), codes = codeBytes(type, headDim), steps = mostOf(type)
  const keyScales = keyScalesAt(group, type, headDim), valueScales = valueScalesAt(group, type, headDim)
  for (let c: usize = 0, to = group; c < stride; c += 64, to += step) {
    for (let v: usize = 0; v < 64; v += 16) {
      let low = v128.load(keys + c + v), high = low
      for (let x = keys + c + v + stride, end = keys + (stride << 6); x < end; x += stride) {
        low = f32x4.min(low, v128.load(x))
        high = f32x4.max(high, v128.load(x))
      }
      v128.store(scratch + v, low)
      spread(low, high, steps, keyScales + c + v, stride, inverses + v)
    }
    for (let x = keys + c, row = to, end = keys + (stride << 6); x < end; x += stride, row += codes) encode16(x, row, scratch, inverses, type)
  }
  let to = valuesAt(group, type, headDim)
  for (let scale = valueScales, end = scale + 256; scale < end; scale += 4, values += stride) {
    let low = load<f32>(values), high = low
    for (let x = values + 4, last = values + (<usize>headDim << 2); x < last; x += 4) {
      low = min(low, load<f32>(x))
      high = max(high, load<f32>(x))
    }
    for (let v: usize = 0; v < 64; v += 16) v128.store(scratch + v, f32x4.splat(low))
    for (let v: usize = 0; v < 64; v += 16) spread(v128.load(scratch), f32x4.splat(high), steps, scratch + 128, 16, inverses + v)
    store<f32>(scale, load<f32>(scratch, 128))
    store<f32>(scale, load<f32>(scratch, 144), 256)
    for (let c: usize = 0; c < stride; c += 64, to += step) encode16(values + c, to, scratch, inverses, type)
  }
  memory.copy(valueScales + 512, positions, 256)
}
