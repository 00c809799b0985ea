import { layouts, type Layout } from '../kernels/operations.ts'
import type { Memory } from './memory.ts'

const names = Object.keys(layouts) as Layout[]
export const layoutName = (layout: number): Layout => names.find(name => layouts[name] === layout)!

/** Bytes of `columns` columns of one row, as in a GGUF file. */
export function sourceBytes(layout: Layout, columns: number): number {
  switch (layout) {
    case 'F32': return columns * 4
    case 'F16': case 'BF16': return columns * 2
    case 'Q8_0': return columns / 32 * 34
    case 'Q4_0': return columns / 32 * 18
    case 'Q4_1': return columns / 32 * 20
  }
}

const cast = new DataView(new ArrayBuffer(4))
const floatOf = (bits: number): number => {
  cast.setUint32(0, bits)
  return cast.getFloat32(0)
}

/** The f16 with these bits: sign · 5 exponent · 10 fraction. */
export function half(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1, exponent = bits >> 10 & 31, fraction = bits & 1023
  if (exponent === 31) return fraction ? NaN : sign * Infinity
  return sign * (exponent ? (1024 + fraction) * 2 ** (exponent - 25) : fraction * 2 ** -24)
}

const u16 = (m: Memory, at: number): number => m.u8[at]! | m.u8[at + 1]! << 8
const u32 = (m: Memory, at: number): number => u16(m, at) + u16(m, at + 2) * 65536

/** A block of 32 weights of an integer layout: weight c is d × codes[c] + m. Codes of Q4_0 are n − 8. */
export interface Block { readonly d: number; readonly m: number; readonly codes: Int8Array }

/** Block b of a row at byte `row`. */
export function blockOf(m: Memory, layout: Layout, row: number, b: number): Block {
  const at = row + sourceBytes(layout, 32) * b
  const d = half(u16(m, at))
  if (layout === 'Q8_0') return { d, m: 0, codes: new Int8Array(m.u8.slice(at + 2, at + 34).buffer) }
  const bytes = layout === 'Q4_1' ? at + 4 : at + 2, zero = layout === 'Q4_1' ? 0 : 8
  const codes = Int8Array.from({ length: 32 }, (_, c) => (c < 16 ? m.u8[bytes + c]! & 15 : m.u8[bytes + c - 16]! >> 4) - zero)
  return { d, m: layout === 'Q4_1' ? half(u16(m, at + 2)) : 0, codes }
}

/** One row at byte `row` as f32 [columns]: products and sums of d, code and m are rounded one by one. */
export function dequantized(m: Memory, layout: Layout, row: number, columns: number): Float32Array {
  switch (layout) {
    case 'F32': return Float32Array.from({ length: columns }, (_, c) => floatOf(u32(m, row + 4 * c)))
    case 'F16': return Float32Array.from({ length: columns }, (_, c) => half(u16(m, row + 2 * c)))
    case 'BF16': return Float32Array.from({ length: columns }, (_, c) => floatOf(u16(m, row + 2 * c) * 65536))
  }
  const out = new Float32Array(columns)
  for (let b = 0; b < columns / 32; b++) {
    const block = blockOf(m, layout, row, b)
    block.codes.forEach((code, c) => { out[32 * b + c] = Math.fround(block.d * code) + block.m })
  }
  return out
}
