import type { Tensor } from './tensor.ts'

/**
 * What a product reads: f32 values [T, columns], or i16 codes [T, columns] with a block record per 32 columns,
 * blocks [T, columns / 32, 4]: scale f32 · scale × Σ codes f32 · Σ codes i32 · Σ of the first 16 i32. Codes lie in [−32639, 32639]; the scale is
 * the smallest power of two (at least 2^−126) with largest |value| ≤ 32639 × scale, code = nearest(value / scale), ties to
 * even; a block of zeros has scale 0. Either half is null where no product wants it.
 */
export interface Activations { readonly values: Tensor | null; readonly codes: Tensor | null; readonly blocks: Tensor | null }
