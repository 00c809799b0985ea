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

/** The same number for every row and KV head whatever their contents: uniform in [0, 1), by seed, layer, tokens seen and row. */
export function seededScore(seed: number): Score {
  return {
    name: `random (${seed})`, window: 0,
    record(k, { tokens, seen, index, temporary }) {
      const tensor = temporary('random', [1, tokens], 'f32')
      k.upload(tensor, Float32Array.from({ length: tokens }, (_, row) => mixed(mixed(mixed(seed) + index) + mixed(seen) + row) / 2 ** 24))
      return { tensor, sets: 1, stride: tokens, tokens }
    },
  }
}

/** 24 bits that depend on all of n's (the finaliser of MurmurHash3). */
function mixed(n: number): number {
  n = Math.imul(n ^ n >>> 16, 0x85ebca6b)
  n = Math.imul(n ^ n >>> 13, 0xc2b2ae35)
  return (n ^ n >>> 16) >>> 8
}

/** Each row by its key alone. norm: the shorter, the better, arXiv:2406.11430; difference: the less like the mean of all keys, the better, arXiv:2504.15364. */
export function keyScore(by: 'norm' | 'difference'): Score {
  return {
    name: by === 'norm' ? 'key norm' : 'key difference', window: 0,
    record(k, { shape: { kvHeads, headDim }, kv, tokens, cache, temporary }) {
      const tensor = temporary('scores', [kvHeads, tokens], 'f32')
      k.keyScore({ out: tensor, segments: cache.table, kvHeads, stride: tokens, tokens, headDim, type: rowTypes[kv], difference: by === 'difference' ? 1 : 0 })
      return { tensor, sets: kvHeads, stride: tokens, tokens }
    },
  }
}
