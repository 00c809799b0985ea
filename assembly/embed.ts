import { firstRow, setCost, tokens } from './registers'
import { F16, F32, IQ4_NL, Q3_K, Q4_0, Q6_K, Q8_0, codeBytes, curveCode, groupBytes, half1, halves, minima, recordBytes, sixBits } from './packed'

/** Weight `column` of row `row` & 7 of the group at `group`, as GGUF defines it. */
function weight(group: usize, row: i32, column: i32, layout: i32): f32 {
  const lane = <usize>(row & 7)
  if (layout < Q8_0) {
    const at = (<usize>column << 3) + lane
    if (layout == F32) return load<f32>(group + (at << 2))
    const bits = <u32>load<u16>(group + (at << 1))
    return layout == F16 ? half1(bits) : reinterpret<f32>(bits << 16)
  }
  const record = group + <usize>(column >> 5) * recordBytes(layout)
  const c = <usize>(column & 31), low = minima(layout)
  const constants = record + codeBytes(layout) + (lane << 2) + (halves(layout) && c > 15 ? (low ? 64 : 32) : 0)
  const d = load<f32>(constants)
  if (layout == Q8_0) return d * <f32>load<i8>(record + ((c >> 1) << 4) + (lane << 1) + (c & 1))
  if (layout == IQ4_NL) return d * <f32>curveCode(load<u8>(record + ((c >> 2) << 4) + (lane << 1) + (c & 1)) >> (c & 2 ? 4 : 0) & 15)
  const zero = layout == Q4_0 || layout == Q3_K ? 8 : layout == Q6_K ? 32 : 0
  const product = d * <f32>((sixBits(layout) ? six(record, lane, c) : nibble(record, lane, c)) - zero)
  return low ? product + load<f32>(constants, 32) : product
}

/** Nibble of column c < 32 of a record's row. */
function nibble(record: usize, lane: usize, c: usize): i32 {
  return <i32>(load<u32>(record + ((c >> 3) << 5) + (lane << 2)) >> <u32>((c & 1) << 4 | (c & 6) << 1)) & 15
}

/** Six bits of column c < 32 of a record's row. */
function six(record: usize, lane: usize, c: usize): i32 {
  const words = record + (c >> 4) * 96 + (lane << 2) + ((c & 1) << 1)
  const pair = (c & 15) >> 1
  if (pair < 6) return <i32>load<u16>(words + ((pair >> 1) << 5)) >> (pair & 1 ? 6 : 0) & 63
  const upper = <i32>load<u16>(words, 64) >> (pair & 1 ? 14 : 12) & 3
  return <i32>load<u16>(words + ((pair & 1) << 5)) >> 12 | upper << 4
}

/** A block is one token. */
export function embedBlocks(a: usize): i32 {
  setCost(load<i32>(a, 20) / 100)
  return tokens()
}

/** An id that no row has gives a row of zeros. */
export function embed(a: usize, block: i32, scratch: usize): void {
  const layout = load<i32>(a, 12), rows = load<u32>(a, 16), dim = load<i32>(a, 20), scale = load<f32>(a, 24)
  const row = <usize>(firstRow() + block)
  const id = load<u32>(load<usize>(a, 4) + (row << 2))
  const out = load<usize>(a) + ((row * dim) << 2)
  const group = load<usize>(a, 8) + <usize>(id >> 3) * groupBytes(layout, dim)
  for (let c = 0; c < dim; c++) store<f32>(out + (<usize>c << 2), id < rows ? weight(group, id, c, layout) * scale : 0)
}
