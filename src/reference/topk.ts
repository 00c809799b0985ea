import type { Words } from '../kernels/operations.ts'
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
    const first = Math.min(a.first, a.tokens), last = Math.min(a.last, a.tokens - first)
    const keep = Math.max(first + last, Math.min(m.u32[a.keep / 4 + s]!, a.tokens, a.capacity))
    const at = a.scores / 4 + s * a.stride
    const middle = m.f32.subarray(at + first, at + a.tokens - last)
    put(m, a, s, [
      ...Array.from({ length: first }, (_, i) => i),
      ...best(middle, keep - first - last).map(i => first + i),
      ...Array.from({ length: last }, (_, i) => a.tokens - last + i),
    ])
  }
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

const family = { topk, topChunks }
export { family as topk }
