import { AHEAD, add, keep } from './integerProduct'
import { Q4_1, groupBytes, recordBytes } from './packed'
import { dotBytes } from './simd'

// Products of activation codes with nibbles by the relaxed dot: four signed bytes times four 7-bit ones into an i32. A code is
// 256 × h + l, both signed bytes, so Σ weight·code = 256 × Σ weight·h + Σ weight·l, each at most 32 × 15 × 128 < 2¹⁶; and no pair of
// byte products comes near an i16, where processors may saturate. So the integers are those of integerProduct.ts, and the bits too.
//
// Of a word's eight columns the low nibbles are 0, 4, 1, 5 and the high ones 2, 6, 3, 7. Codes and tiles are laid to match:
//   split  [columns / 8]  | h × 4 | l × 4 | of the low columns, | h × 4 | l × 4 | of the high ones
//   trio   [columns / 4]  | h × 4 | l × 4 | of three tokens
//   tile   [columns / 4][8 rows]  | weight × 4 |

/** Bytes of a tile, and its columns; behind it lie as many split codes of 64 tokens, or FEW_COLUMNS of fewer than TILED. */
const TILE: usize = 8192
const TILE_COLUMNS: i32 = 1024
const FEW_COLUMNS: i32 = 8192
/** Tokens from which a tile pays: fewer meet the nibbles themselves, two by two. */
const TILED: i32 = 9
/** Bytes of a record of a tile, and of its split codes. */
// @ts-ignore: decorator
@inline
const RECORD: usize = 256
// @ts-ignore: decorator
@inline
const SPLIT: usize = 64

/** Where what is read for its cache line alone goes. */
let sink = 0

// As vectors in memory: V8 rebuilds a constant at each use.
const constants = memory.data<u32>([0x0f0f0f0f, 0x0f0f0f0f, 0x0f0f0f0f, 0x0f0f0f0f, 0x00800080, 0x00800080, 0x00800080, 0x00800080], 16)

/** Eight codes, split. */
// @ts-ignore: decorator
@inline
function splitEight(code: usize, half: v128): v128 {
  let c = v128.load(code)
  c = v128.shuffle<i16>(c, v128.shuffle<i64>(c, c, 1, 1), 0, 8, 1, 9, 2, 10, 3, 11)
  const bytes = i8x16.narrow_i16x8_s(i16x8.shr_s(i16x8.add(c, half), 8), i16x8.shr_s(i16x8.shl(c, 8), 8))
  return v128.shuffle<i32>(bytes, bytes, 0, 2, 1, 3)
}

/** split [records × 32] = codes. */
function splitOne(split: usize, code: usize, records: i32): void {
  const half = v128.load(constants, 16)
  for (const end = split + <usize>records * SPLIT; split != end; split += 16, code += 16) v128.store(split, splitEight(code, half))
}

/** trio [records × 32] = codes of three tokens, `stride` bytes apart. */
function splitThree(trio: usize, x0: usize, stride: usize, records: i32): void {
  const half = v128.load(constants, 16)
  const x1 = x0 + stride, x2 = x1 + stride
  for (let p: usize = 0, end = <usize>records * SPLIT; p < end; p += 16, trio += 48) {
    const a = splitEight(x0 + p, half), b = splitEight(x1 + p, half), c = splitEight(x2 + p, half)
    v128.store(trio, v128.shuffle<i64>(a, b, 0, 2))
    v128.store(trio, v128.shuffle<i64>(c, a, 0, 3), 16)
    v128.store(trio, v128.shuffle<i64>(b, c, 1, 3), 32)
  }
}

/** tile [records] from nibbles. */
function unpack(tile: usize, packed: usize, records: i32, layout: i32): void {
  const mask = v128.load(constants), rest = recordBytes(layout) - 128
  for (let b = 0; b < records; b++, packed += rest)
    for (const end = packed + 128; packed != end; packed += 32, tile += 64) {
      const w0 = v128.load(packed), w1 = v128.load(packed, 16)
      v128.store(tile, v128.and(w0, mask))
      v128.store(tile, v128.and(w1, mask), 16)
      v128.store(tile, v128.and(i16x8.shr_u(w0, 4), mask), 32)
      v128.store(tile, v128.and(i16x8.shr_u(w1, 4), mask), 48)
    }
}

/** Σ weight·code of four rows; of Q4_0 Σ (weight − 8)·code, with Σ code from the block record. */
// @ts-ignore: decorator
@inline
function whole(h: v128, l: v128, block: usize, minima: bool): v128 {
  const sum = i32x4.add(i32x4.shl(h, 8), l)
  return minima ? sum : i32x4.sub(sum, i32x4.shl(v128.load32_splat(block, 8), 3))
}

/** One token, 8 rows, straight from nibbles: as `oneNibbles` in integerProduct.ts, with split codes. */
// @ts-ignore: decorator
@inline
function one(sums: usize, packed: usize, split: usize, block: usize, records: i32, minima: bool, ahead: usize): void {
  let touched = 0
  const mask = v128.load(constants)
  let a0 = v128.load(sums), a1 = v128.load(sums, 16)
  for (let b = 0; b < records; b++) {
    let h0 = i32x4.splat(0), h1 = h0, l0 = h0, l1 = h0, i0 = h0, i1 = h0, j0 = h0, j1 = h0
    const end = packed + 128
    const next = packed + ahead
    touched ^= load<i32>(next) ^ load<i32>(next, 64) ^ load<i32>(next, 128)
    do {
      const w0 = v128.load(packed), w1 = v128.load(packed, 16)
      let x = v128.and(w0, mask), y = v128.and(w1, mask), q = v128.load32_splat(split)
      h0 = dotBytes(h0, q, x), h1 = dotBytes(h1, q, y), q = v128.load32_splat(split, 4)
      l0 = dotBytes(l0, q, x), l1 = dotBytes(l1, q, y)
      x = v128.and(i16x8.shr_u(w0, 4), mask), y = v128.and(i16x8.shr_u(w1, 4), mask), q = v128.load32_splat(split, 8)
      i0 = dotBytes(i0, q, x), i1 = dotBytes(i1, q, y), q = v128.load32_splat(split, 12)
      j0 = dotBytes(j0, q, x), j1 = dotBytes(j1, q, y)
      packed += 32
      split += 16
    } while (packed != end)
    a0 = add(a0, whole(i32x4.add(h0, i0), i32x4.add(l0, j0), block, minima), packed, block, minima)
    a1 = add(a1, whole(i32x4.add(h1, i1), i32x4.add(l1, j1), block, minima), packed + 16, block, minima)
    packed += minima ? 64 : 32
    block += 16
  }
  v128.store(sums, a0)
  v128.store(sums, a1, 16)
  sink = touched
}

/** Two tokens, whose split codes, blocks and sums are so many bytes apart: what one word is unpacked for serves both. */
// @ts-ignore: decorator
@inline
function two(sums: usize, rows: usize, packed: usize, split: usize, splits: usize, block: usize, blocks: usize, records: i32, minima: bool, ahead: usize): void {
  let touched = 0
  const mask = v128.load(constants), s1 = sums + rows
  for (let b = 0; b < records; b++) {
    let h0 = i32x4.splat(0), h1 = h0, l0 = h0, l1 = h0, i0 = h0, i1 = h0, j0 = h0, j1 = h0
    const end = packed + 128
    const far = packed + ahead
    touched ^= load<i32>(far) ^ load<i32>(far, 64) ^ load<i32>(far, 128)
    let other = split + splits
    do {
      const w0 = v128.load(packed), w1 = v128.load(packed, 16)
      let x = v128.and(w0, mask), y = v128.and(w1, mask), q = v128.load32_splat(split)
      h0 = dotBytes(h0, q, x), h1 = dotBytes(h1, q, y), q = v128.load32_splat(split, 4)
      l0 = dotBytes(l0, q, x), l1 = dotBytes(l1, q, y), q = v128.load32_splat(other)
      i0 = dotBytes(i0, q, x), i1 = dotBytes(i1, q, y), q = v128.load32_splat(other, 4)
      j0 = dotBytes(j0, q, x), j1 = dotBytes(j1, q, y)
      x = v128.and(i16x8.shr_u(w0, 4), mask), y = v128.and(i16x8.shr_u(w1, 4), mask), q = v128.load32_splat(split, 8)
      h0 = dotBytes(h0, q, x), h1 = dotBytes(h1, q, y), q = v128.load32_splat(split, 12)
      l0 = dotBytes(l0, q, x), l1 = dotBytes(l1, q, y), q = v128.load32_splat(other, 8)
      i0 = dotBytes(i0, q, x), i1 = dotBytes(i1, q, y), q = v128.load32_splat(other, 12)
      j0 = dotBytes(j0, q, x), j1 = dotBytes(j1, q, y)
      packed += 32
      split += 16
      other += 16
    } while (packed != end)
    const t1 = block + blocks
    keep(sums, whole(h0, l0, block, minima), whole(h1, l1, block, minima), packed, block, minima)
    keep(s1, whole(i0, j0, t1, minima), whole(i1, j1, t1, minima), packed, t1, minima)
    packed += minima ? 64 : 32
    block += 16
  }
  sink = touched
}

/**
 * Three tokens, 8 rows, `records` records of a tile, which came from `packed`. sums [3][8] f32, `rows` bytes apart, are added to;
 * block: the first token's, the next `blocks` bytes on. 12 sums and 3 operands take the 15 registers there are: of a dot, which
 * adds in place, two can begin at a time and each takes five, so fewer sums than ten would wait for themselves.
 */
// @ts-ignore: decorator
@inline
function three(sums: usize, rows: usize, tile: usize, packed: usize, trio: usize, block: usize, blocks: usize, records: i32, minima: bool): void {
  const s1 = sums + rows, s2 = s1 + rows
  let d = packed + 128
  for (let b = 0; b < records; b++) {
    let h0 = i32x4.splat(0), h1 = h0, l0 = h0, l1 = h0, i0 = h0, i1 = h0, j0 = h0, j1 = h0, m0 = h0, m1 = h0, n0 = h0, n1 = h0
    const end = tile + RECORD
    do {
      const w0 = v128.load(tile), w1 = v128.load(tile, 16)
      let q = v128.load32_splat(trio)
      h0 = dotBytes(h0, q, w0), h1 = dotBytes(h1, q, w1), q = v128.load32_splat(trio, 4)
      l0 = dotBytes(l0, q, w0), l1 = dotBytes(l1, q, w1), q = v128.load32_splat(trio, 8)
      i0 = dotBytes(i0, q, w0), i1 = dotBytes(i1, q, w1), q = v128.load32_splat(trio, 12)
      j0 = dotBytes(j0, q, w0), j1 = dotBytes(j1, q, w1), q = v128.load32_splat(trio, 16)
      m0 = dotBytes(m0, q, w0), m1 = dotBytes(m1, q, w1), q = v128.load32_splat(trio, 20)
      n0 = dotBytes(n0, q, w0), n1 = dotBytes(n1, q, w1)
      tile += 32, trio += 24
    } while (tile != end)
    const t1 = block + blocks, t2 = t1 + blocks
    keep(sums, whole(h0, l0, block, minima), whole(h1, l1, block, minima), d, block, minima)
    keep(s1, whole(i0, j0, t1, minima), whole(i1, j1, t1, minima), d, t1, minima)
    keep(s2, whole(m0, n0, t2, minima), whole(m1, n1, t2, minima), d, t2, minima)
    d += minima ? 192 : 160
    block += 16
  }
}

function relaxedOne(sums: usize, packed: usize, split: usize, block: usize, records: i32, layout: i32, ahead: usize): void {
  if (layout == Q4_1) one(sums, packed, split, block, records, true, ahead)
  else one(sums, packed, split, block, records, false, ahead)
}

function relaxedTwo(sums: usize, rows: usize, packed: usize, split: usize, splits: usize, block: usize, blocks: usize, records: i32, layout: i32, ahead: usize): void {
  if (layout == Q4_1) two(sums, rows, packed, split, splits, block, blocks, records, true, ahead)
  else two(sums, rows, packed, split, splits, block, blocks, records, false, ahead)
}

function relaxedThree(sums: usize, rows: usize, tile: usize, packed: usize, trio: usize, block: usize, blocks: usize, records: i32, layout: i32): void {
  if (layout == Q4_1) three(sums, rows, tile, packed, trio, block, blocks, records, true)
  else three(sums, rows, tile, packed, trio, block, blocks, records, false)
}

/** As `integerProducts` in project.ts, of nibbles; sums `rows` bytes apart. tile: 8 KiB, and behind it 2 KiB a token. */
export function relaxedProducts(sums: usize, rows: usize, tile: usize, packed: usize, groups: i32, columns: i32, layout: i32, codes: usize, blocks: usize, count: i32, end: usize): void {
  const codeStride = <usize>columns << 1, blockStride = <usize>(columns >> 5) << 4
  const threes = count < TILED ? 0 : count - count % 3
  const chunk = threes ? TILE_COLUMNS : FEW_COLUMNS
  for (let c = 0; c < columns; c += chunk) {
    const records = min(chunk, columns - c) >> 5, splitBytes = <usize>records * SPLIT
    const splits = tile + TILE
    let code = codes + (<usize>c << 1), split = splits, t = 0
    for (; t < threes; t += 3, split += 3 * splitBytes, code += 3 * codeStride) splitThree(split, code, codeStride, records)
    for (; t < count; t++, split += splitBytes, code += codeStride) splitOne(split, code, records)
    let group = packed + <usize>(c >> 5) * recordBytes(layout)
    let sum = sums
    for (let g = 0; g < groups; g++, group += groupBytes(layout, columns), sum += 32) {
      let s = sum, block = blocks + (<usize>(c >> 5) << 4)
      if (threes) unpack(tile, group, records, layout)
      split = splits
      for (t = 0; t < threes; t += 3, s += 3 * rows, split += 3 * splitBytes, block += 3 * blockStride)
        relaxedThree(s, rows, tile, group, split, block, blockStride, records, layout)
      // Nothing is read behind the matrix.
      const ahead = min(AHEAD, end - group - <usize>records * recordBytes(layout))
      for (; t + 2 <= count; t += 2, s += 2 * rows, split += 2 * splitBytes, block += 2 * blockStride)
        relaxedTwo(s, rows, group, split, splitBytes, block, blockStride, records, layout, ahead)
      if (t < count)
        relaxedOne(s, group, split, block, records, layout, ahead)
    }
  }
}
