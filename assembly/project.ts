import { firstRow, setCost, tokens } from './registers'
import { F32, Q8_0, groupBytes, recordBytes } from './packed'
import { columnBytes, expand, floatFour, floatOne } from './floatProduct'
import { AHEAD, integerFour, integerOne, interleave, widen } from './integerProduct'
import { nibbleFour, nibbles } from './nibbleFour'
import { relaxedProducts } from './relaxedProduct'

/** Rows of one block of work: 8 groups; for one token, whose blocks are short, 4, so that threads end closer together. */
const ROWS: i32 = 64
const FEW_ROWS: i32 = 32

// @ts-ignore: decorator
@inline
function rowsOfBlock(): i32 {
  return tokens() == 1 ? FEW_ROWS : ROWS
}

/** Tokens that meet a tile at a time: their codes stay in L2 (128 KiB for a chunk), and widening stays under 2 % of the work. */
const TOKENS: i32 = 64
/** Bytes between tokens in the sums [TOKENS][ROWS] f32. */
const SUMS: usize = 256
/** Columns of a tile, 16 KiB in either kind: it shares L1 with the activations of four tokens. */
const WIDE_COLUMNS: i32 = 1024
const FLOAT_COLUMNS: i32 = 512
const TILE: usize = 16384
/** Tokens from which widening nibbles pays, weights coming from memory. */
const WIDENED: i32 = 12

/** sums [count][ROWS] += codes [count, columns] × `groups` groups of packed, of a matrix up to `end`. tile: 16 KiB, and behind it 2 KiB a token for quads. */
function integerProducts(sums: usize, tile: usize, packed: usize, groups: i32, columns: i32, layout: i32, codes: usize, blocks: usize, count: i32, end: usize): void {
  if (ASC_FEATURE_RELAXED_SIMD) {
    if (nibbles(layout)) return relaxedProducts(sums, SUMS, tile, packed, groups, columns, layout, codes, blocks, count, end)
  }
  const codeStride = <usize>columns << 1, blockStride = <usize>(columns >> 5) << 4
  const whole = count & ~3
  const few = !ASC_FEATURE_RELAXED_SIMD && nibbles(layout) && count < WIDENED
  const chunk = whole ? WIDE_COLUMNS : columns
  for (let c = 0; c < columns; c += chunk) {
    const records = min(chunk, columns - c) >> 5, quadBytes = <usize>records << 8
    const quads = tile + TILE
    for (let t = 0, quad = quads, code = codes + (<usize>c << 1); t < whole; t += 4, quad += quadBytes, code += 4 * codeStride)
      interleave(quad, code, codeStride, records << 4)
    let group = packed + <usize>(c >> 5) * recordBytes(layout)
    let sum = sums
    for (let g = 0; g < groups; g++, group += groupBytes(layout, columns), sum += 32) {
      let s = sum, block = blocks + (<usize>(c >> 5) << 4), quad = quads
      // Nothing is read behind the matrix.
      const ahead = min(AHEAD, end - group - <usize>records * recordBytes(layout))
      if (whole && !few) widen(tile, group, records, layout)
      let t = 0
      for (; t < whole; t += 4, s += 4 * SUMS, quad += quadBytes, block += 4 * blockStride)
        if (few) nibbleFour(s, SUMS, group, quad, block, blockStride, records, layout, ahead)
        else integerFour(s, SUMS, tile, group, quad, block, blockStride, records, layout)
      let code = codes + <usize>t * codeStride + (<usize>c << 1)
      for (; t < count; t++, s += SUMS, code += codeStride, block += blockStride)
        integerOne(s, group, code, block, records, layout, ahead)
    }
  }
}

/** sums [count][ROWS] += values [count, columns] × `groups` groups of packed. tile: 16 KiB. */
function floatProducts(sums: usize, tile: usize, packed: usize, groups: i32, columns: i32, layout: i32, values: usize, count: i32): void {
  const stride = <usize>columns << 2
  const whole = count & ~3
  for (let c = 0; c < columns; c += FLOAT_COLUMNS) {
    const width = min(FLOAT_COLUMNS, columns - c)
    let group = packed + columnBytes(layout, c)
    let sum = sums
    for (let g = 0; g < groups; g++, group += groupBytes(layout, columns), sum += 32) {
      let s = sum, x = values + (<usize>c << 2), weights = group
      if (layout != F32) {
        expand(tile, group, width, layout)
        weights = tile
      }
      let t = 0
      for (; t < whole; t += 4, s += 4 * SUMS, x += 4 * stride) floatFour(s, SUMS, weights, x, stride, width)
      for (; t < count; t++, s += SUMS, x += stride) floatOne(s, weights, x, width)
    }
  }
}

/** out [rows] f32 = (0 or out) + (sums + bias). bias: 0 where there is none. */
function finish(out: usize, sums: usize, bias: usize, rows: i32, residual: bool): void {
  let r = 0
  for (; r + 4 <= rows; r += 4, out += 16, sums += 16) {
    let sum = v128.load(sums)
    if (bias) sum = f32x4.add(sum, v128.load(bias + (<usize>r << 2)))
    if (residual) sum = f32x4.add(v128.load(out), sum)
    v128.store(out, sum)
  }
  for (; r < rows; r++, out += 4, sums += 4) {
    let sum = load<f32>(sums)
    if (bias) sum += load<f32>(bias + (<usize>r << 2))
    if (residual) sum = load<f32>(out) + sum
    store<f32>(out, sum)
  }
}

export function projectBlocks(a: usize): i32 {
  const rows = load<i32>(a, 28), columns = load<i32>(a, 32)
  const each = rowsOfBlock()
  setCost(<i32>min<i64>(<i64>min(rows, each) * columns * tokens() / 1000, i32.MAX_VALUE))
  return (rows + each - 1) / each
}

export function project(a: usize, block: i32, scratch: usize): void {
  const layout = load<i32>(a, 24), rows = load<i32>(a, 28), columns = load<i32>(a, 32)
  const residual = load<i32>(a, 36) != 0, exact = load<i32>(a, 40) != 0
  const first = block * rowsOfBlock()
  const here = min(rowsOfBlock(), rows - first), groups = (here + 7) >> 3
  const packed = load<usize>(a, 16) + <usize>(first >> 3) * groupBytes(layout, columns)
  const stride = <usize>rows << 2
  let out = load<usize>(a) + (<usize>first << 2)
  if (residual) out += <usize>firstRow() * stride
  const bias = load<usize>(a, 20) ? load<usize>(a, 20) + (<usize>first << 2) : 0
  const sums = scratch, tile = scratch + SUMS * TOKENS
  const all = tokens()
  for (let t = 0; t < all; t += TOKENS) {
    const count = min(TOKENS, all - t)
    memory.fill(sums, 0, <usize>count * SUMS)
    if (layout >= Q8_0 && !exact) {
      const codes = load<usize>(a, 8) + (<usize>t * columns << 1), blocks = load<usize>(a, 12) + (<usize>t * (columns >> 5) << 4)
      integerProducts(sums, tile, packed, groups, columns, layout, codes, blocks, count, load<usize>(a, 16) + <usize>((rows + 7) >> 3) * groupBytes(layout, columns))
    } else floatProducts(sums, tile, packed, groups, columns, layout, load<usize>(a, 4) + (<usize>t * columns << 2), count)
    for (let i: usize = 0; i < <usize>count; i++, out += stride) finish(out, sums + i * SUMS, bias, here, residual)
  }
}
