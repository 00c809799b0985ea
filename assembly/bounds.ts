import { setCost } from './registers'
import { keyNumbers } from './groups'
import { boundType, countOf, F32, I16, keyOf, keyScaleOf, packRow, Q8, segmentOf, strideOf } from './segment'
import { max4 } from './simd'
import { boundRows, liveOf, pagesOf, TILE_PAGES, tileOf, tileScales } from './tiles'

// bounds | segments | kvHeads | headDim | type | pageSize | all |

/** Codes of bounds reach 4094 before they are rounded outward, so that 4095 is the most. */
// @ts-ignore: decorator
@inline
const BOUND_CODE: f32 = 4094
/** 2^−126. A smaller scale would lose the bits that keep a bound a bound. */
// @ts-ignore: decorator
@inline
const SMALLEST_NORMAL: f32 = 1.1754943508222875e-38

// @ts-ignore: decorator
@inline
function firstPage(segment: usize, pageSize: i32, all: i32): i32 {
  return all ? 0 : countOf(segment) / pageSize
}

/** Tiles with pages to build, of the KV head that has most. */
function tilesToBuild(a: usize): i32 {
  const pageSize = load<i32>(a, 16)
  let most = 0
  for (let h = 0, n = load<i32>(a, 4); h < n; h++) {
    const segment = segmentOf(load<usize>(a), h)
    const first = firstPage(segment, pageSize, load<i32>(a, 20)) / TILE_PAGES
    most = max(most, pagesOf(pagesOf(liveOf(segment), pageSize), TILE_PAGES) - first)
  }
  return most
}

export function boundsBlocks(a: usize): i32 {
  setCost((load<i32>(a, 8) * (load<i32>(a, 16) + 4)) >> 4)
  return load<i32>(a, 4) * tilesToBuild(a)
}

/** Block: one tile of one KV head. scratch: lows and highs [2, stride] f32, their codes [2, stride] i16, or a key [stride] f32. */
export function bounds(a: usize, block: i32, scratch: usize): void {
  const headDim = load<i32>(a, 8), type = load<i32>(a, 12), pageSize = load<i32>(a, 16)
  const each = tilesToBuild(a)
  const segment = segmentOf(load<usize>(a), block / each)
  const live = liveOf(segment), stride = strideOf(headDim), rows = boundRows(headDim, pageSize)
  const first = firstPage(segment, pageSize, load<i32>(a, 20))
  const tileIndex = first / TILE_PAGES + block % each
  const tile = tileOf(segment, tileIndex, rows, boundType(type)), scales = tileScales(tile, rows)
  const end = min(pagesOf(live, pageSize), (tileIndex + 1) * TILE_PAGES)
  for (let page = max(first, tileIndex * TILE_PAGES); page < end; page++) {
    const column = <usize>(page % TILE_PAGES)
    const row = page * pageSize
    if (pageSize == 1) {
      const key = keyOf(segment, row, type, headDim)
      if (type >= Q8) {
        const codes = scratch + (<usize>stride << 2)
        keyNumbers(segment, row, type, headDim, scratch)
        store<f32>(scales + (column << 2), packRow(scratch, codes, headDim, stride))
        place<i16>(codes, tile + (column << 1), rows)
      } else if (type == I16) {
        place<i16>(key, tile + (column << 1), rows)
        store<f32>(scales + (column << 2), load<f32>(keyScaleOf(segment, row, type, headDim)))
      } else place<f32>(key, tile + (column << 2), rows)
      continue
    }
    const n = min(pageSize, live - row)
    if (type != F32) {
      if (type == I16) extremesOfCodes(segment, row, n, headDim, stride, scratch)
      else extremesOfNumbers(segment, row, n, headDim, type, stride, scratch)
      const codes = scratch + (<usize>stride << 3)
      store<f32>(scales + (column << 2), packBounds(scratch, codes, stride))
      place<i16>(codes, tile + (column << 1), rows)
    } else {
      extremes(segment, row, n, headDim, stride, scratch)
      place<f32>(scratch, tile + (column << 2), rows)
    }
  }
}

/** One page's bounds into its column of the tile. */
// @ts-ignore: decorator
@inline
function place<T>(from: usize, to: usize, rows: i32): void {
  for (let r = 0; r < rows; r++, from += sizeof<T>(), to += TILE_PAGES * sizeof<T>()) store<T>(to, load<T>(from))
}

/** Lowest and highest of n f32 rows per channel: out [2, stride]. */
function extremes(segment: usize, row: i32, n: i32, headDim: i32, stride: i32, out: usize): void {
  const bytes = <usize>stride << 2
  memory.copy(out, keyOf(segment, row, 0, headDim), bytes)
  memory.copy(out + bytes, out, bytes)
  for (let i = 1; i < n; i++) {
    const key = keyOf(segment, row + i, 0, headDim)
    for (let c: usize = 0; c < bytes; c += 16) {
      const x = v128.load(key + c)
      v128.store(out + c, f32x4.min(v128.load(out + c), x))
      v128.store(out + bytes + c, f32x4.max(v128.load(out + bytes + c), x))
    }
  }
}

/** The same of i16 rows, as numbers code × scale. */
function extremesOfCodes(segment: usize, row: i32, n: i32, headDim: i32, stride: i32, out: usize): void {
  const bytes = <usize>stride << 2
  for (let i = 0; i < n; i++) {
    let key = keyOf(segment, row + i, I16, headDim)
    const scale = v128.load32_splat(keyScaleOf(segment, row + i, I16, headDim))
    for (let low = out, end = out + bytes; low < end; low += 16, key += 8) {
      const x = f32x4.mul(f32x4.convert_i32x4_s(v128.load16x4_s(key)), scale)
      v128.store(low, i ? f32x4.min(v128.load(low), x) : x)
      v128.store(low + bytes, i ? f32x4.max(v128.load(low + bytes), x) : x)
    }
  }
}

/** The same of packed rows. One key is unpacked behind `out`. */
function extremesOfNumbers(segment: usize, row: i32, n: i32, headDim: i32, type: i32, stride: i32, out: usize): void {
  const bytes = <usize>stride << 2, key = out + 2 * bytes
  for (let i = 0; i < n; i++) {
    keyNumbers(segment, row + i, type, headDim, key)
    for (let c: usize = 0; c < bytes; c += 16) {
      const x = v128.load(key + c)
      v128.store(out + c, i ? f32x4.min(v128.load(out + c), x) : x)
      v128.store(out + bytes + c, i ? f32x4.max(v128.load(out + bytes + c), x) : x)
    }
  }
}

/** Codes [2, stride] of lows and highs [2, stride], rounded outward: code × scale in f32 is no higher, no lower. Returns the scale. */
function packBounds(x: usize, codes: usize, stride: i32): f32 {
  const bytes = <usize>stride << 2
  let top = f32x4.splat(0)
  for (let c: usize = 0; c < bytes << 1; c += 16) top = f32x4.max(top, f32x4.abs(v128.load(x + c)))
  const largest = max4(top)
  if (largest == 0) {
    memory.fill(codes, 0, <usize>stride << 2)
    return 0
  }
  const scale: f32 = max(largest / BOUND_CODE, SMALLEST_NORMAL)
  const by = f32x4.splat(scale), one = f32x4.splat(1)
  for (let c: usize = 0; c < bytes; c += 16, codes += 8) {
    const low = v128.load(x + c), high = v128.load(x + bytes + c)
    let down = f32x4.floor(f32x4.div(low, by)), up = f32x4.ceil(f32x4.div(high, by))
    down = f32x4.sub(down, v128.and(f32x4.gt(f32x4.mul(down, by), low), one))
    up = f32x4.add(up, v128.and(f32x4.lt(f32x4.mul(up, by), high), one))
    const pair = i16x8.narrow_i32x4_s(i32x4.trunc_sat_f32x4_s(down), i32x4.trunc_sat_f32x4_s(up))
    v128.store64_lane(codes, pair, 0)
    v128.store64_lane(codes + (bytes >> 1), pair, 1)
  }
  return scale
}
