import { firstRow, setCost, tokens } from './registers'
import { BF16, F16, F32, Q4_1, Q8_0, codeBytes, groupBytes, half1, recordBytes } from './packed'

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
  const constants = record + codeBytes(layout) + (lane << 2)
  const c = <usize>(column & 31)
  const d = load<f32>(constants)
  if (layout == Q8_0) return d * <f32>load<i8>(record + ((c >> 1) << 4) + (lane << 1) + (c & 1))
  const word = load<u32>(record + ((c >> 3) << 5) + (lane << 2))
  const code = <i32>(word >> <u32>((c & 1) << 4 | (c & 6) << 1)) & 15
  return layout == Q4_1 ? d * <f32>code + load<f32>(constants, 32) : d * <f32>(code - 8)
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
