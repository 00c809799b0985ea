import { I16, packRow } from './segment'
import { mulAdd, zipHigh16, zipLow16 } from './simd'
import { boundRows, liveOf, pagesOf, TILE_PAGES, tileOf, tileScales } from './tiles'

/** Heads whose sums fit into registers beside the two vectors they share. */
// @ts-ignore: decorator
@inline
export const TOGETHER: i32 = 4
/** Pairs of channels whose products of codes up to 4095 surely sum to less than 2³¹. */
// @ts-ignore: decorator
@inline
const EXACT_PAIRS: i32 = 64
/** Tiles of one block. */
// @ts-ignore: decorator
@inline
export const BLOCK_TILES: i32 = 32

// prepared: factors [TOGETHER, count + 1] words | scales [TOGETHER] f32 | scores [TOGETHER, 64] f32 | codes [stride] i16

// @ts-ignore: decorator
@inline
function factorsOf(prepared: usize, count: i32, i: i32): usize {
  return prepared + (<usize>(i * (count + 1)) << 2)
}

// @ts-ignore: decorator
@inline
function scalesOf(prepared: usize, count: i32): usize {
  return factorsOf(prepared, count, TOGETHER)
}

/** Factors of the i-th head. */
export function prepare(query: usize, channels: usize, count: i32, headDim: i32, stride: i32, type: i32, prepared: usize, i: i32): void {
  const factors = factorsOf(prepared, count, i)
  const codes = scalesOf(prepared, count) + (TOGETHER << 2) + (TOGETHER << 8)
  if (type == I16) store<f32>(scalesOf(prepared, count) + (<usize>i << 2), packRow(query, codes, headDim, stride))
  for (let j = 0; j < count; j++) {
    let c = load<i32>(channels + (<usize>j << 2))
    if (c >= stride) c -= stride
    if (type == I16) store<i16>(factors + (<usize>j << 1), load<i16>(codes + (<usize>c << 1)))
    else store<f32>(factors + (<usize>j << 2), load<f32>(query + (<usize>c << 2)))
  }
  if (type == I16) store<i16>(factors + (<usize>count << 1), 0)
}

/** Scores of one block's live pages to out [together, ·], `row` bytes apart; add 1: added to what is there. */
export function scoreTiles(segment: usize, block: i32, headDim: i32, type: i32, pageSize: i32, count: i32, together: i32, offsets: usize, prepared: usize, out: usize, row: usize, add: i32): void {
  const pages = pagesOf(liveOf(segment), pageSize), rows = boundRows(headDim, pageSize)
  const scales = scalesOf(prepared, count), scores = scales + (TOGETHER << 2)
  const end = min(pagesOf(pages, TILE_PAGES), (block + 1) * BLOCK_TILES)
  for (let t = block * BLOCK_TILES; t < end; t++) {
    const tile = tileOf(segment, t, rows, type)
    const first = t * TILE_PAGES, n = min(TILE_PAGES, pages - first)
    for (let i = 0; i < n; i += 8) {
      const at = scores + (<usize>i << 2)
      if (type == I16) {
        const from = tile + (<usize>i << 1)
        if (together == 1) scoreCodes(1, from, offsets, prepared, count, at)
        else if (together == 2) scoreCodes(2, from, offsets, prepared, count, at)
        else if (together == 3) scoreCodes(3, from, offsets, prepared, count, at)
        else scoreCodes(4, from, offsets, prepared, count, at)
      } else {
        const from = tile + (<usize>i << 2)
        if (together == 1) scoreFloats(1, from, offsets, prepared, count, at)
        else if (together == 2) scoreFloats(2, from, offsets, prepared, count, at)
        else if (together == 3) scoreFloats(3, from, offsets, prepared, count, at)
        else scoreFloats(4, from, offsets, prepared, count, at)
      }
    }
    for (let h = 0; h < together; h++) {
      const from = scores + (<usize>h << 8), to = out + <usize>h * row + (<usize>first << 2)
      if (type == I16) finish(from, to, n, tileScales(tile, rows), load<f32>(scales + (<usize>h << 2)), add)
      else if (add) addTo(to, from, n)
      else memory.copy(to, from, <usize>n << 2)
    }
  }
}

/** to = scores × (page scale × query scale), or added to what is there. */
function finish(scores: usize, to: usize, n: i32, pageScales: usize, scale: f32, add: i32): void {
  const by = f32x4.splat(scale)
  let i = 0
  for (; i + 4 <= n; i += 4, scores += 16, pageScales += 16, to += 16) {
    const x = f32x4.mul(v128.load(scores), f32x4.mul(by, v128.load(pageScales)))
    v128.store(to, add ? f32x4.add(v128.load(to), x) : x)
  }
  for (; i < n; i++, scores += 4, pageScales += 4, to += 4) {
    const x = load<f32>(scores) * (scale * load<f32>(pageScales))
    store<f32>(to, add ? load<f32>(to) + x : x)
  }
}

function addTo(to: usize, from: usize, n: i32): void {
  for (let i = 0; i < n; i++, to += 4, from += 4) store<f32>(to, load<f32>(to) + load<f32>(from))
}

/** f32(total) + f32(sums), or f32(sums) where there is no total yet. */
// @ts-ignore: decorator
@inline
function flush(to: usize, sums: v128, first: bool): void {
  const x = f32x4.convert_i32x4_s(sums)
  v128.store(to, first ? x : f32x4.add(v128.load(to), x))
}

/**
 * Sums of codes of 8 pages for so many heads (a constant: what is for further heads is not compiled). Two channel rows are zipped, so that
 * one product adds two channels of four pages. out [heads, 64] f32.
 */
// @ts-ignore: decorator
@inline
function scoreCodes(heads: i32, tile: usize, offsets: usize, prepared: usize, count: i32, out: usize): void {
  const pairs = (count + 1) >> 1, step = <usize>(count + 1) << 2
  for (let p = 0; p < pairs; p += EXACT_PAIRS) {
    let a0 = i32x4.splat(0), a1 = a0, b0 = a0, b1 = a0, c0 = a0, c1 = a0, d0 = a0, d1 = a0
    let factor = prepared + (<usize>p << 2), offset = offsets + (<usize>p << 3)
    for (const end = prepared + (<usize>min(pairs, p + EXACT_PAIRS) << 2); factor < end; factor += 4, offset += 8) {
      const x = v128.load(tile + load<usize>(offset)), y = v128.load(tile + load<usize>(offset, 4))
      const low = zipLow16(x, y), high = zipHigh16(x, y)
      let q = v128.load32_splat(factor)
      a0 = i32x4.add(a0, i32x4.dot_i16x8_s(low, q))
      a1 = i32x4.add(a1, i32x4.dot_i16x8_s(high, q))
      if (heads > 1) {
        q = v128.load32_splat(factor + step)
        b0 = i32x4.add(b0, i32x4.dot_i16x8_s(low, q))
        b1 = i32x4.add(b1, i32x4.dot_i16x8_s(high, q))
      }
      if (heads > 2) {
        q = v128.load32_splat(factor + 2 * step)
        c0 = i32x4.add(c0, i32x4.dot_i16x8_s(low, q))
        c1 = i32x4.add(c1, i32x4.dot_i16x8_s(high, q))
      }
      if (heads > 3) {
        q = v128.load32_splat(factor + 3 * step)
        d0 = i32x4.add(d0, i32x4.dot_i16x8_s(low, q))
        d1 = i32x4.add(d1, i32x4.dot_i16x8_s(high, q))
      }
    }
    flush(out, a0, p == 0)
    flush(out + 16, a1, p == 0)
    if (heads > 1) {
      flush(out + 256, b0, p == 0)
      flush(out + 272, b1, p == 0)
    }
    if (heads > 2) {
      flush(out + 512, c0, p == 0)
      flush(out + 528, c1, p == 0)
    }
    if (heads > 3) {
      flush(out + 768, d0, p == 0)
      flush(out + 784, d1, p == 0)
    }
  }
}

/** The same of f32 bounds: a sum over the chosen rows, in order. */
// @ts-ignore: decorator
@inline
function scoreFloats(heads: i32, tile: usize, offsets: usize, prepared: usize, count: i32, out: usize): void {
  const step = <usize>(count + 1) << 2
  let a0 = f32x4.splat(0), a1 = a0, b0 = a0, b1 = a0, c0 = a0, c1 = a0, d0 = a0, d1 = a0
  let factor = prepared
  for (const end = prepared + (<usize>count << 2); factor < end; factor += 4, offsets += 4) {
    const at = tile + load<usize>(offsets)
    const x = v128.load(at), y = v128.load(at, 16)
    let q = v128.load32_splat(factor)
    a0 = mulAdd(x, q, a0)
    a1 = mulAdd(y, q, a1)
    if (heads > 1) {
      q = v128.load32_splat(factor + step)
      b0 = mulAdd(x, q, b0)
      b1 = mulAdd(y, q, b1)
    }
    if (heads > 2) {
      q = v128.load32_splat(factor + 2 * step)
      c0 = mulAdd(x, q, c0)
      c1 = mulAdd(y, q, c1)
    }
    if (heads > 3) {
      q = v128.load32_splat(factor + 3 * step)
      d0 = mulAdd(x, q, d0)
      d1 = mulAdd(y, q, d1)
    }
  }
  v128.store(out, a0)
  v128.store(out, a1, 16)
  if (heads > 1) {
    v128.store(out, b0, 256)
    v128.store(out, b1, 272)
  }
  if (heads > 2) {
    v128.store(out, c0, 512)
    v128.store(out, c1, 528)
  }
  if (heads > 3) {
    v128.store(out, d0, 768)
    v128.store(out, d1, 784)
  }
}
