import { rowTypes, type Kernels, type Tensor } from '../../kernels/index.ts'
import { mostRows } from '../layer.ts'
import { asFull } from './name.ts'
import type { DecodeSelect, Layer, Rows } from '../policy.ts'

/** Every held row is read. */
export const readAll = (): DecodeSelect => ({ name: asFull, sums: false, record: () => null })

/** Rows of the longest KV head that can ever be live before the program is recorded again. */
const most = ({ cache }: Layer): number => mostRows(cache)

/** Numbers of one page row, in whole vectors. */
const pageStride = (layer: Layer, pageSize: number): number => (Math.ceil(most(layer) / pageSize) + 3) & ~3

function place({ temporary, index }: Layer, sets: number, capacity: number): Rows {
  // Layers list their rows in the same place one after the other; how many they were is asked for afterwards.
  return { rows: temporary('read', [sets, capacity], 'u32'), counts: temporary(`readCounts ${index}`, [sets], 'u32'), sets, capacity }
}

/** Attention geometry that every selection operation takes. */
const sizes = ({ shape, kv }: Layer) => ({ heads: shape.heads, kvHeads: shape.kvHeads, headDim: shape.headDim, type: rowTypes[kv] })

/** Page scores over the plan's channels: [heads, stride], and the temperature they are divided by. RocketKV, Algorithm 1, steps 1 to 4. */
function scorePages(k: Kernels, query: Tensor, layer: Layer, pageSize: number): { scores: Tensor; temperature: Tensor; stride: number } {
  const { heads, kvHeads, headDim, type } = sizes(layer)
  const { channels: count } = layer.plan
  const stride = pageStride(layer, pageSize)
  const channels = layer.temporary('channels', [kvHeads, count], 'u32')
  const temperature = layer.temporary('temperature', [heads], 'f32')
  const scores = layer.temporary('pageScores', [heads, stride], 'f32')
  k.chooseChannels({ channels, temperature, query, heads, kvHeads, headDim, count, pageSize, square: 1 / layer.shape.scale ** 2 })
  k.pageScore({ out: scores, query, channels, segments: layer.cache.table, heads, kvHeads, headDim, type, count, pageSize, stride })
  return { scores, temperature, stride }
}

function weigh(k: Kernels, layer: Layer, scores: Tensor, temperature: Tensor | null, pageSize: number, stride: number): Tensor {
  const { heads, kvHeads } = layer.shape
  const out = layer.temporary('pageWeights', [kvHeads, stride], 'f32')
  k.pageWeights({ out, scores, temperature, segments: layer.cache.table, heads, kvHeads, pageSize, stride })
  return out
}

interface Take { readonly sets: number; readonly pageSize: number; readonly stride: number; readonly tokens: number; readonly first?: number; readonly last?: number; readonly newest?: boolean }

function take(k: Kernels, layer: Layer, weights: Tensor, { sets, pageSize, stride, tokens, first = 0, last = 0, newest = false }: Take): Rows {
  const chosen = place(layer, sets, Math.min(most(layer), tokens + first + last + pageSize))
  k.topPages({ rows: chosen.rows, counts: chosen.counts, weights, segments: layer.cache.table, sets, kvHeads: layer.shape.kvHeads, pageSize, stride,
    tokens, first, last, newest: newest ? 1 : 0, capacity: chosen.capacity })
  return chosen
}

/** Hybrid sparse attention: pages by bounds over a few channels, tokens by the group's mean probability. RocketKV, arXiv:2502.14051, Algorithm 1. */
export const chosenPages = ({ first = 0, last }: { first?: number; last?: number } = {}): DecodeSelect => ({
  name: `pages by channels, then top tokens${first ? `, first ${first}` : ''}${last ? `, last ${last}` : ''}`,
  sums: false,
  record(k, query, layer) {
    const { pageSize, read } = layer.plan
    const { scores, temperature, stride } = scorePages(k, query, layer, pageSize)
    return take(k, layer, weigh(k, layer, scores, temperature, pageSize, stride), { sets: layer.shape.kvHeads, pageSize, stride, tokens: read, first, last: last ?? layer.shape.recent ?? 0 })
  },
})

/** The best tokens by exact attention: the group's mean probability per KV head, or every query head for itself. */
export const topTokensByProbability = (by: 'kvHead' | 'queryHead'): DecodeSelect => ({
  name: `top tokens by attention, per ${by === 'queryHead' ? 'query head' : 'KV head'}`,
  sums: false,
  record(k, query, layer) {
    const { heads, kvHeads } = layer.shape
    const stride = pageStride(layer, 1)
    const scores = layer.temporary('tokenScores', [heads, stride], 'f32')
    k.tokenScore({ out: scores, query, segments: layer.cache.table, ...sizes(layer), stride, scale: layer.shape.scale, cap: layer.shape.cap ?? 0 })
    const weights = by === 'queryHead' ? scores : weigh(k, layer, scores, null, 1, stride)
    return take(k, layer, weights, { sets: by === 'queryHead' ? heads : kvHeads, pageSize: 1, stride, tokens: layer.plan.read })
  },
})

/**
 * Whole pages by the highest score their bounds allow, over all channels. Quest, arXiv:2406.10774: every query head for itself, the
 * newest page always, the first `dense` layers whole. shared: scores of the group added, one set per KV head (as the RocketKV paper compares it).
 */
export const questPages = ({ dense = 0, shared = false } = {}): DecodeSelect => ({
  name: `top pages by bounds, per ${shared ? 'KV head' : 'query head'}${dense ? `, layers from ${dense} on` : ''}`,
  sums: false,
  record(k, query, layer) {
    if (layer.index < dense) return null
    const { pageSize, read } = layer.plan
    const { heads, kvHeads } = layer.shape
    const sets = shared ? kvHeads : heads
    const stride = pageStride(layer, pageSize)
    const scores = layer.temporary('pageScores', [heads, stride], 'f32')
    k.questScore({ out: scores, query, segments: layer.cache.table, sets, ...sizes(layer), pageSize, stride })
    return take(k, layer, scores, { sets, pageSize, stride, tokens: read, newest: !shared })
  },
})

/** The best tokens by a few channels, the newest `recent` among them, and the mean value for the rest. SparQ, arXiv:2312.04985, Algorithm 1. */
export function sparqTokens({ recent }: { recent: (read: number) => number }): DecodeSelect {
  return {
    name: 'top tokens by channels, last, mean value',
    sums: true,
    record(k, query, layer) {
      const { scores, temperature, stride } = scorePages(k, query, layer, 1)
      const last = recent(layer.plan.read)
      return take(k, layer, weigh(k, layer, scores, temperature, 1, stride),
        { sets: layer.shape.kvHeads, pageSize: 1, stride, tokens: layer.plan.read - last, last })
    },
    finish(k, out, chosen, layer) {
      const { heads, kvHeads, headDim } = layer.shape
      const stride = pageStride(layer, 1)
      if (!layer.cache.sums) throw new TypeError('sparqTokens: the layer must keep the sum of its values, got none')
      k.blendMean({ out, sums: layer.cache.sums, scores: layer.temporary('pageScores', [heads, stride], 'f32'), temperature: layer.temporary('temperature', [heads], 'f32'),
        rows: chosen.rows, counts: chosen.counts, segments: layer.cache.table, sets: chosen.sets, capacity: chosen.capacity, heads, kvHeads, headDim, stride })
    },
  }
}

/** The first `first` rows and the newest `budget` − `first`. */
export const firstAndLastRows = (first: number): DecodeSelect => ({
  name: `first ${first} and last`,
  sums: false,
  record(k, _, layer) {
    const { kvHeads } = layer.shape
    const last = layer.plan.read - first
    if (last < 1) throw new RangeError(`firstAndLastRows: at least one of the newest rows must be read, got ${layer.plan.read} rows with the first ${first}`)
    const chosen = place(layer, kvHeads, Math.min(most(layer), first + last))
    k.firstAndLast({ rows: chosen.rows, counts: chosen.counts, segments: layer.cache.table, kvHeads, first, last, capacity: chosen.capacity })
    return chosen
  },
})
