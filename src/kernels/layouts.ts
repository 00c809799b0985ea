/** How packed weights lie in memory; integer layouts meet activation codes, the others f32 activations. */
export const layouts = { F32: 0, F16: 1, BF16: 2, Q8_0: 3, Q4_0: 4, Q4_1: 5, IQ4_NL: 6, Q5_1: 7, Q6_K: 8, Q3_K: 9, Q2_K: 10 } as const
export type Layout = keyof typeof layouts
export type IntegerLayout = Exclude<Layout, 'F32' | 'F16' | 'BF16'>
export const integerLayout = (layout: Layout): layout is IntegerLayout => layouts[layout] >= layouts.Q8_0

/**
 * A weight is d × (n − zero), rounded to f32, then + m: n of `bits` bits, d (and, with `minima`, m) an f32 for every `step` columns of
 * a row; with `curve`, d × curve[n]. Layouts are named by the type of a file that they fit best.
 */
export interface Packing { readonly bits: 4 | 6 | 8; readonly zero: number; readonly step: 16 | 32; readonly minima: boolean; readonly curve?: readonly number[] }
const curve = [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113] as const
export const packings: Readonly<Record<IntegerLayout, Packing>> = {
  Q8_0: { bits: 8, zero: 128, step: 32, minima: false },
  Q4_0: { bits: 4, zero: 8, step: 32, minima: false },
  Q4_1: { bits: 4, zero: 0, step: 32, minima: true },
  IQ4_NL: { bits: 4, zero: 0, step: 32, minima: false, curve },
  Q5_1: { bits: 6, zero: 0, step: 32, minima: true },
  Q6_K: { bits: 6, zero: 32, step: 16, minima: false },
  Q3_K: { bits: 4, zero: 8, step: 16, minima: false },
  Q2_K: { bits: 4, zero: 0, step: 16, minima: true },
}

/** Bytes of 32 columns of one row: n, and its f32 scales (and minima). */
export function recordBytes(layout: IntegerLayout): number {
  const { bits, step, minima } = packings[layout]
  return 4 * bits + 32 / step * (minima ? 8 : 4)
}

/** Bytes of packed weights: rows go in groups of 8, 32 columns of a group to a record. */
export function packedBytes(layout: Layout, rows: number, columns: number): number {
  const groups = Math.ceil(rows / 8)
  if (integerLayout(layout)) return groups * (columns / 32) * 8 * recordBytes(layout)
  return groups * columns * (layout === 'F32' ? 32 : 16)
}

/** A type of a GGUF file: ggml's number, blocks of `columns` in `bytes`, and the layout that holds its values without a loss. */
export interface Source { readonly type: number; readonly columns: number; readonly bytes: number; readonly layout: Layout }
export const sources = {
  F32: { type: 0, columns: 1, bytes: 4, layout: 'F32' },
  F16: { type: 1, columns: 1, bytes: 2, layout: 'F16' },
  BF16: { type: 30, columns: 1, bytes: 2, layout: 'BF16' },
  Q8_0: { type: 8, columns: 32, bytes: 34, layout: 'Q8_0' },
  Q4_0: { type: 2, columns: 32, bytes: 18, layout: 'Q4_0' },
  Q4_1: { type: 3, columns: 32, bytes: 20, layout: 'Q4_1' },
  Q5_0: { type: 6, columns: 32, bytes: 22, layout: 'Q8_0' },
  Q5_1: { type: 7, columns: 32, bytes: 24, layout: 'Q5_1' },
  Q2_K: { type: 10, columns: 256, bytes: 84, layout: 'Q2_K' },
  Q3_K: { type: 11, columns: 256, bytes: 110, layout: 'Q3_K' },
  Q4_K: { type: 12, columns: 256, bytes: 144, layout: 'Q4_1' },
  Q5_K: { type: 13, columns: 256, bytes: 176, layout: 'Q5_1' },
  Q6_K: { type: 14, columns: 256, bytes: 210, layout: 'Q6_K' },
  Q8_K: { type: 15, columns: 256, bytes: 292, layout: 'Q8_0' },
  IQ4_NL: { type: 20, columns: 32, bytes: 18, layout: 'IQ4_NL' },
  IQ4_XS: { type: 23, columns: 256, bytes: 136, layout: 'IQ4_NL' },
  TQ1_0: { type: 34, columns: 256, bytes: 54, layout: 'Q4_0' },
  TQ2_0: { type: 35, columns: 256, bytes: 66, layout: 'Q4_0' },
} as const satisfies Readonly<Record<string, Source>>
export type SourceType = keyof typeof sources
