import type { Tensor } from './tensor.ts'
import type { Layout } from './operations.ts'

/**
 * What a product reads: f32 values [T, columns], or i16 codes [T, columns] with a block record per 32 columns,
 * blocks [T, columns / 32, 4]: scale f32 · scale × Σ codes f32 · Σ codes i32 · 0. Codes lie in [−32639, 32639]; the scale is
 * the smallest power of two (at least 2^−126) with largest |value| ≤ 32639 × scale, code = nearest(value / scale), ties to
 * even; a block of zeros has scale 0. Either half is null where no product wants it.
 */
export interface Activations { readonly values: Tensor | null; readonly codes: Tensor | null; readonly blocks: Tensor | null }

/** Bytes of packed weights: rows go in groups of 8, 32 columns of a group to a record with its f32 scales (and minima). */
export function packedBytes(layout: Layout, rows: number, columns: number): number {
  const groups = Math.ceil(rows / 8)
  switch (layout) {
    case 'F32': return groups * columns * 32
    case 'F16': case 'BF16': return groups * columns * 16
    case 'Q8_0': return groups * (columns / 32) * 288
    case 'Q4_0': return groups * (columns / 32) * 160
    case 'Q4_1': return groups * (columns / 32) * 192
  }
}
