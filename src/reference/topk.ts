import type { Words } from '../kernels/operations.ts'
import { segmentWords } from '../kernels/rows.ts'
import type { Memory } from './memory.ts'

/** Places by score, the best first. Ties keep the earlier; NaN is below everything. */
export function ranking(scores: Float32Array): number[] {
  const lost = (i: number): number => Number.isNaN(scores[i]!) ? 1 : 0
  return Array.from({ length: scores.length }, (_, i) => i)
    .sort((i, j) => lost(i) - lost(j) || (scores[i]! > scores[j]! ? -1 : scores[i]! < scores[j]! ? 1 : i - j))
}

/** Places of the n best scores, ascending. */
export const best = (scores: Float32Array, n: number): number[] =>
  ranking(scores).slice(0, Math.max(0, n)).sort((i, j) => i - j)

/** Stores the rows of one set and their number. */
export function put(m: Memory, to: { readonly rows: number; readonly counts: number; readonly capacity: number }, set: number, rows: readonly number[]): void {
  m.u32.set(rows, to.rows / 4 + set * to.capacity)
  m.u32[to.counts / 4 + set] = rows.length
}

function topk(m: Memory, a: Words<'topk'>): void {
  for (let s = 0; s < a.sets; s++) {
    const tokens = a.segments ? Math.min(a.tokens, m.u32[a.segments / 4 + s * segmentWords]!) : a.tokens
    const first = Math.min(a.first, tokens), last = Math.min(a.last, tokens - first)
    const keep = Math.max(first + last, Math.min(m.u32[a.keep / 4 + s]!, tokens, a.capacity))
    const at = a.scores / 4 + s * a.stride
    const middle = m.f32.subarray(at + first, at + tokens - last)
    put(m, a, s, [
      ...Array.from({ length: first }, (_, i) => i),
      ...best(middle, keep - first - last).map(i => first + i),
      ...Array.from({ length: last }, (_, i) => tokens - last + i),
    ])
  }
}

function shareRows(m: Memory, a: Words<'shareRows'>): void {
  const rest: { set: number; score: number }[] = []
  let left = a.total
  for (let set = 0; set < a.kvHeads; set++) {
    const tokens = Math.min(a.tokens, m.u32[a.segments / 4 + set * segmentWords]!)
    const first = Math.min(a.first, tokens), last = Math.min(a.last, tokens - first), at = a.scores / 4 + set * a.stride
    const scores = m.f32.slice(at + first, at + tokens - last), order = ranking(scores)
    const own = Math.min(Math.max(0, a.floor - first - last), scores.length)
    m.u32[a.keep / 4 + set] = first + last + own
    left -= first + last + own
    const others = new Set(order.slice(own))
    scores.forEach((score, i) => { if (others.has(i)) rest.push({ set, score }) })
  }
  for (const i of best(Float32Array.from(rest, ({ score }) => score), left)) m.u32[a.keep / 4 + rest[i]!.set]!++
}

function topChunks(m: Memory, a: Words<'topChunks'>): void {
  for (let s = 0; s < a.sets; s++) {
    const means = Float32Array.from({ length: Math.ceil(a.tokens / a.chunk) }, (_, i) => {
      const at = a.scores / 4 + s * a.stride
      const chunk = m.f32.subarray(at + i * a.chunk, at + Math.min(a.tokens, (i + 1) * a.chunk))
      return chunk.reduce((sum, x) => sum + x, 0) / chunk.length
    })
    put(m, a, s, best(means, a.chunks).flatMap(i =>
      Array.from({ length: Math.min(a.chunk, a.tokens - i * a.chunk) }, (_, t) => i * a.chunk + t)))
  }
}

const family = { topk, shareRows, topChunks }
export { family as topk }
