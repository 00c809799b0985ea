import { integerLayout, layouts, packings, recordBytes, type IntegerLayout, type Layout } from '../kernels/layouts.ts'
import type { Memory } from './memory.ts'
import { float, half, valueOf } from './sources.ts'

// The reference's packed rows are plain: values of float layouts as in the file; of integer layouts a record for 32 columns,
//   | d f32, one a step | m f32, one a step, with minima | 32 × n of `bits` bits, low bits first |
// which takes no more room than the records of eight rows that kernels read.

const names = Object.keys(layouts) as Layout[]
export const layoutName = (layout: number): Layout => names.find(name => layouts[name] === layout)!

/** Bytes of one packed row. */
export function rowBytes(layout: Layout, columns: number): number {
  return integerLayout(layout) ? columns / 32 * recordBytes(layout) : columns * (layout === 'F32' ? 4 : 2)
}

/** 32 columns of a row: weight c is d[c / step] × codes[c] + m[c / step]. */
export interface Block { readonly step: number; readonly d: readonly number[]; readonly m: readonly number[]; readonly codes: Int8Array }

/** Packs record b of a row from a row of file blocks of `type` at byte `source`. */
export function packBlock(m: Memory, layout: IntegerLayout, row: number, b: number, type: number, source: number): void {
  const { bits, zero, step, minima, curve } = packings[layout]
  const at = row + b * recordBytes(layout), steps = 32 / step
  const codesAt = at + steps * (minima ? 8 : 4)
  m.u8.fill(0, at, at + recordBytes(layout))
  for (let c = 0; c < 32; c++) {
    const value = valueOf(m, type, source, 32 * b + c)
    m.f32[at / 4 + Math.floor(c / step)] = value.d
    if (minima) m.f32[at / 4 + steps + Math.floor(c / step)] = value.m
    const n = (curve ? curve.indexOf(value.code) : value.code + zero) << bits * c % 8
    m.u8[codesAt + (bits * c >> 3)]! |= n
    if (n > 255) m.u8[codesAt + (bits * c >> 3) + 1]! |= n >> 8
  }
}

/** Record b of a packed row. */
export function blockOf(m: Memory, layout: IntegerLayout, row: number, b: number): Block {
  const { bits, zero, step, minima, curve } = packings[layout]
  const at = row + b * recordBytes(layout), steps = 32 / step
  const constants = (first: number): number[] => Array.from({ length: steps }, (_, i) => m.f32[at / 4 + first + i]!)
  const codesAt = at + steps * (minima ? 8 : 4)
  const codes = Int8Array.from({ length: 32 }, (_, c) => {
    const byte = codesAt + (bits * c >> 3)
    const n = (m.u8[byte]! | m.u8[byte + 1]! << 8) >> bits * c % 8 & (1 << bits) - 1
    return curve ? curve[n]! : n - zero
  })
  return { step, d: constants(0), m: minima ? constants(steps) : constants(0).fill(0), codes }
}

/** One packed row at byte `row` as f32 [columns]: products and sums of d, code and m are rounded one by one. */
export function dequantized(m: Memory, layout: Layout, row: number, columns: number): Float32Array {
  if (!integerLayout(layout)) {
    const u16 = (at: number): number => m.u8[at]! | m.u8[at + 1]! << 8
    return Float32Array.from({ length: columns }, (_, c) => layout === 'F32' ? float(u16(row + 4 * c) + u16(row + 4 * c + 2) * 65536)
      : layout === 'F16' ? half(u16(row + 2 * c)) : float(u16(row + 2 * c) * 65536))
  }
  const out = new Float32Array(columns), { minima } = packings[layout]
  for (let b = 0; b < columns / 32; b++) {
    const { step, d, m: low, codes } = blockOf(m, layout, row, b)
    codes.forEach((code, c) => {
      const i = Math.floor(c / step), product = Math.fround(d[i]! * code)
      out[32 * b + c] = minima ? product + low[i]! : product
    })
  }
  return out
}
