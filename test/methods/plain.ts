import type { Sizes, Tokens } from './bare.ts'

// Formulas of the methods in f64, over plain arrays: nothing of the package's own.

const dot = (a: ArrayLike<number>, b: ArrayLike<number>): number => {
  let sum = 0
  for (let i = 0; i < a.length; i++) sum += a[i]! * b[i]!
  return sum
}

/** Numbers that sum to 1, as their exponentials do. */
export function softmax(x: readonly number[]): number[] {
  const top = Math.max(...x), e = x.map(y => Math.exp(y - top)), sum = e.reduce((a, b) => a + b, 0)
  return e.map(y => y / sum)
}

/** Indices of the n largest, ascending; ties keep the earlier. */
export const best = (scores: readonly number[], n: number): number[] =>
  [...scores.keys()].sort((i, j) => scores[j]! - scores[i]! || i - j).slice(0, n).sort((i, j) => i - j)

/** A token's vector of one head. */
const vector = (x: Float32Array, token: number, head: number, heads: number, headDim: number): Float32Array =>
  x.subarray((token * heads + head) * headDim, (token * heads + head + 1) * headDim)

/** Keys and values of one KV head, and queries of its group. */
export function headsOf(t: Tokens, { heads, kvHeads, headDim }: Sizes, kvHead: number) {
  const group = heads / kvHeads
  return {
    key: (token: number) => vector(t.keys, token, kvHead, kvHeads, headDim),
    value: (token: number) => vector(t.values, token, kvHead, kvHeads, headDim),
    queries: (token: number) => Array.from({ length: group }, (_, g) => vector(t.queries, token, kvHead * group + g, heads, headDim)),
  }
}

/** Attention of the last `window` queries of a group to each row before them, summed; and what falls on the window itself. */
export function votes(t: Tokens, sizes: Sizes, kvHead: number, window: number): { prefix: number[]; onWindow: number } {
  const { key, queries } = headsOf(t, sizes, kvHead)
  const first = t.n - window, prefix = Array.from({ length: first }, () => 0)
  let onWindow = 0
  for (let at = first; at < t.n; at++)
    for (const query of queries(at))
      softmax(Array.from({ length: at + 1 }, (_, row) => dot(query, key(row)) / Math.sqrt(sizes.headDim))).forEach((weight, row) => {
        if (row < first) prefix[row]! += weight
        else onWindow += weight
      })
  return { prefix, onWindow }
}

/** Products of the token's queries with the keys of rows 0 … live − 1, scaled: [group][live]. */
export const products = (t: Tokens, sizes: Sizes, kvHead: number, at: number, live: number): number[][] => {
  const { key, queries } = headsOf(t, sizes, kvHead)
  return queries(at).map(query => Array.from({ length: live }, (_, row) => dot(query, key(row)) / Math.sqrt(sizes.headDim)))
}

/** Attention of the token's queries over rows of their own: [group][headDim]. */
export function attention(t: Tokens, sizes: Sizes, kvHead: number, at: number, rows: readonly (readonly number[])[]): number[][] {
  const { key, value, queries } = headsOf(t, sizes, kvHead)
  return queries(at).map((query, g) => {
    const own = rows[rows.length === 1 ? 0 : g]!
    const weights = softmax(own.map(row => dot(query, key(row)) / Math.sqrt(sizes.headDim)))
    return Array.from({ length: sizes.headDim }, (_, c) => own.reduce((sum, row, i) => sum + weights[i]! * value(row)[c]!, 0))
  })
}
