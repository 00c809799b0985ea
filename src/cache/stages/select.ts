import { asFull, named } from './name.ts'
import type { Layer, Rows, Scores, Select } from '../policy.ts'

/** Nothing is cut. */
export const everything = (): Select => named(asFull, (_, __, ___, { index }) => {
  throw new TypeError(`layer ${index}: a method that evicts must select rows, got everything`)
})

function place({ temporary }: Layer, sets: number, capacity: number): Rows {
  return { rows: temporary('kept', [sets, capacity], 'u32'), counts: temporary('keptCounts', [sets], 'u32'), sets, capacity }
}

function scored(scores: Scores | null, what: string): Scores {
  if (!scores) throw new TypeError(`${what}: the method must score its rows, got no score`)
  return scores
}

/** The rows with the highest scores, the first `first` and the observation window besides. Ties keep the earlier row. */
export function topTokens({ first = 0 }: { first?: number } = {}): Select {
  return named(`top tokens${first ? `, first ${first}` : ''}, window`, (k, scores, counts, layer) => {
    const { tensor, sets, stride, tokens } = scored(scores, 'topTokens')
    const protectedRows = Math.min(tokens, first + layer.window)
    if (Math.min(...counts) < protectedRows) throw new RangeError(`topTokens: a KV head must keep at least the ${protectedRows} rows that always stay, got ${Math.min(...counts)}`)
    const chosen = place(layer, sets, Math.min(tokens, Math.max(...counts)))
    const keep = layer.temporary('keep', [sets], 'u32')
    k.upload(keep, counts.slice(0, sets))
    k.topk({ rows: chosen.rows, counts: chosen.counts, scores: tensor, keep, sets, stride, tokens, first: Math.min(first, tokens),
      last: Math.min(layer.window, tokens), capacity: chosen.capacity })
    return chosen
  })
}

/** The first `first` rows and the newest ones. StreamingLLM, arXiv:2309.17453. */
export function firstAndLast(first: number): Select {
  return named(`first ${first} and last`, (k, _, counts, layer) => {
    const { kvHeads } = layer.shape
    const capacity = Math.max(...counts)
    const chosen = place(layer, kvHeads, capacity)
    k.firstAndLast({ rows: chosen.rows, counts: chosen.counts, segments: layer.cache.table, kvHeads, first: Math.min(first, capacity), last: Math.max(0, capacity - first), capacity })
    return chosen
  })
}

/** Whole chunks with the highest mean; `count` of them. One set for all KV heads. */
export function topChunks(chunk: number, count: (layer: Layer) => number): Select {
  return named(`top chunks (${chunk})`, (k, scores, _, layer) => {
    const { tensor, sets, stride, tokens } = scored(scores, 'topChunks')
    const chunks = count(layer)
    const chosen = place(layer, sets, Math.min(tokens, chunks * chunk))
    k.topChunks({ rows: chosen.rows, counts: chosen.counts, scores: tensor, sets, stride, tokens, chunk, chunks, capacity: chosen.capacity })
    return chosen
  })
}

/** The rows of the first layer of each run of `layers` layers serve the others too. ChunkKV, arXiv:2502.00299, Algorithm 2. */
export function reuse(layers: number, select: Select): Select {
  if (!(layers >= 1)) throw new RangeError(`reuse: layers must be at least 1, got ${layers}`)
  return named(select.name + (layers > 1 ? `, shared by ${layers} layers` : ''), (k, scores, counts, layer) => {
    const before = layer.state.get('rows') as Rows | undefined
    if (before && layer.index % layers) return before
    const rows = select(k, scores, counts, layer)
    layer.state.set('rows', rows)
    return rows
  })
}

/**
 * The KV heads of a layer share its rows: the best of all heads together stay, the observation window besides, and no head has fewer than `floor` percent
 * of an equal share. AdaKV, arXiv:2407.11550.
 */
export function sharedTokens(floor: number): Select {
  if (!(floor >= 0 && floor <= 100)) throw new RangeError(`sharedTokens: floor must be from 0 to 100 percent, got ${floor}`)
  return named(`top tokens of all KV heads, at least ${floor} % of a share, window`, (k, scores, counts, layer) => {
    const { tensor, sets, stride, tokens } = scored(scores, 'sharedTokens')
    const { kvHeads } = layer.shape, segments = layer.cache.table, last = Math.min(layer.window, tokens)
    if (sets !== kvHeads) throw new TypeError(`sharedTokens: each KV head must have scores of its own, got ${sets} sets`)
    const chosen = place(layer, kvHeads, tokens), keep = layer.temporary('keep', [kvHeads], 'u32')
    const share = Math.min(...counts)
    if (share < last) throw new RangeError(`sharedTokens: a KV head must keep at least the ${last} rows that always stay, got ${share}`)
    k.shareRows({ keep, scores: tensor, segments, kvHeads, stride, tokens, first: 0, last, floor: Math.max(1, Math.trunc(share * floor / 100)), total: share * kvHeads })
    k.topk({ rows: chosen.rows, counts: chosen.counts, scores: tensor, keep, sets, stride, tokens, first: 0, last, capacity: tokens, segments })
    return chosen
  })
}
