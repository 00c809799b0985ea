import type { Words } from '../kernels/operations.ts'
import { capped } from './activation.ts'
import { dot, queryOf, softmax } from './attend.ts'
import type { Memory, State } from './memory.ts'
import { rowsOf } from './segment.ts'

function scoreWindow(m: Memory, a: Words<'scoreWindow'>, { position }: State): void {
  const group = a.heads / a.kvHeads, each = a.heads / a.sets, first = a.tokens - a.window
  for (let set = 0; set < a.sets; set++) {
    const rows = rowsOf(m, a.segments, Math.floor(set * each / group), a.headDim, a.type)
    const keys = Array.from({ length: a.tokens }, (_, r) => rows.key(r))
    const sums = new Float64Array(a.tokens)
    for (let h = set * each; h < (set + 1) * each; h++)
      for (let i = Math.max(0, -first); i < a.window; i++) {
        const ringRow = (position - a.window + i) % a.ringRows
        const query = queryOf(m, a.ring + (ringRow * a.heads + h) * a.headDim * 4, a.headDim, a.type)
        const weights = softmax(Float64Array.from(keys.slice(0, first + i + 1), key => capped(dot(query, key) * a.scale, a.cap)))
        for (let r = 0; r < first; r++) sums[r]! += weights[r]!
      }
    m.f32.set(sums, a.out / 4 + set * a.stride)
  }
}

function tokenScore(m: Memory, a: Words<'tokenScore'>, { tokens }: State): void {
  for (let h = 0; h < a.heads; h++) {
    const rows = rowsOf(m, a.segments, Math.floor(h * a.kvHeads / a.heads), a.headDim, a.type)
    const query = queryOf(m, a.query + h * a.headDim * 4, a.headDim, a.type)
    for (let r = 0; r < rows.count + tokens; r++) m.f32[a.out / 4 + h * a.stride + r] = capped(dot(query, rows.key(r)) * a.scale, a.cap)
  }
}

const family = { scoreWindow, tokenScore }
export { family as window }
