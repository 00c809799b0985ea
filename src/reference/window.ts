import type { Words } from '../kernels/operations.ts'
import { capped } from './activation.ts'
import { dot, queryOf, softmax } from './attend.ts'
import type { Memory, State } from './memory.ts'
import { rowsOf } from './segment.ts'

function scoreWindow(m: Memory, a: Words<'scoreWindow'>, { position }: State): void {
  const group = a.heads / a.kvHeads, each = a.heads / a.sets
  for (let set = 0; set < a.sets; set++) {
    const rows = rowsOf(m, a.segments, Math.floor(set * each / group), a.headDim, a.type)
    const count = Math.min(a.tokens, rows.count), first = count - a.window
    const keys = Array.from({ length: count }, (_, r) => rows.key(r))
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

function keyScore(m: Memory, a: Words<'keyScore'>): void {
  for (let h = 0; h < a.kvHeads; h++) {
    const rows = rowsOf(m, a.segments, h, a.headDim, a.type)
    const keys = Array.from({ length: Math.min(a.tokens, rows.count) }, (_, r) => rows.key(r)), norms = keys.map(key => Math.sqrt(dot(key, key)))
    const mean = new Float64Array(a.headDim)
    keys.forEach((key, r) => key.forEach((x, c) => { mean[c]! += norms[r] ? x / norms[r]! : 0 }))
    const length = Math.sqrt(dot(mean, mean))
    m.f32.fill(0, a.out / 4 + h * a.stride, a.out / 4 + h * a.stride + a.tokens)
    m.f32.set(keys.map((key, r) => a.difference ? norms[r] && length ? -dot(key, mean) / norms[r]! / length : 0 : -norms[r]!), a.out / 4 + h * a.stride)
  }
}

const family = { scoreWindow, tokenScore, keyScore }
export { family as window }
