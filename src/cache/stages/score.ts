import { rowTypes } from '../../kernels/index.ts'
import type { Score } from '../policy.ts'

/** Attention that the last `window` queries pay to each earlier row, summed over window and group. SnapKV, arXiv:2404.14469, section 4. */
export function windowAttention(window: number): Score {
  return {
    name: `window attention (${window})`, window,
    record(k, { shape, kv, tokens, window: queries, cache, temporary }) {
      const { heads, kvHeads, headDim, scale } = shape
      const ring = cache.ring
      if (!ring) throw new TypeError('windowAttention: the layer must keep its last queries, got none')
      const tensor = temporary('scores', [kvHeads, tokens], 'f32')
      k.scoreWindow({ out: tensor, ring, segments: cache.table, sets: kvHeads, stride: tokens, tokens, heads, kvHeads, headDim,
        type: rowTypes[kv], ringRows: ring.shape[0]!, window: queries, scale, cap: shape.cap ?? 0 })
      return { tensor, sets: kvHeads, stride: tokens, tokens }
    },
  }
}
