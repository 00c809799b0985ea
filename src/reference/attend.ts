import { rowTypes, type Words } from '../kernels/operations.ts'
import { chunkRows, segmentWords, strideOf } from '../kernels/rows.ts'
import { capped } from './activation.ts'
import type { Memory, State } from './memory.ts'
import { nearest } from './nearest.ts'
import { rowsOf, type Rows } from './segment.ts'

/** The query [headDim] at address `at` as a score reads it: i16 rows meet codes in [−4095, 4095] × scale, rounded as rows are; packed ones count as numbers. */
export function queryOf(m: Memory, at: number, headDim: number, type: number): Float64Array {
  const x = Float64Array.from(m.f32.subarray(at / 4, at / 4 + headDim))
  if (type !== rowTypes.i16) return x
  const largest = x.reduce((top, v) => Math.max(top, Math.abs(v)), 0)
  const inverse = largest === 0 ? 0 : Math.fround(4095 / largest)
  return x.map(v => nearest(Math.fround(v * inverse)) * Math.fround(largest / 4095))
}

export const dot = (x: ArrayLike<number>, y: ArrayLike<number>): number => {
  let sum = 0
  for (let c = 0; c < x.length; c++) sum += x[c]! * y[c]!
  return sum
}

/** e^(score − largest) over their sum. */
export function softmax(scores: Float64Array): Float64Array {
  const most = scores.reduce((top, v) => Math.max(top, v), -Infinity)
  const weights = scores.map(v => Math.exp(v - most))
  const sum = weights.reduce((all, v) => all + v, 0)
  return weights.map(v => v / sum)
}

function attend(m: Memory, a: Words<'attend'>, { tokens }: State): void {
  if (a.partials) return attendChunks(m, a)
  const group = a.heads / a.kvHeads
  for (let kvHead = 0; kvHead < a.kvHeads; kvHead++) {
    const rows = rowsOf(m, a.segments, kvHead, a.headDim, a.type)
    const held = remember(rows)
    for (let h = kvHead * group; h < (kvHead + 1) * group; h++)
      for (let i = 0; i < tokens; i++) {
        const set = a.sets === a.kvHeads ? kvHead : h
        const list = a.rows
          ? m.u32.slice(a.rows / 4 + set * a.capacity, a.rows / 4 + set * a.capacity + m.u32[a.counts / 4 + set]!)
          : newest(m.u32[a.segments / 4 + kvHead * segmentWords]! + i + 1, a.window)
        const at = (i * a.heads + h) * a.headDim
        const query = queryOf(m, a.query + at * 4, a.headDim, a.type)
        const weights = softmax(Float64Array.from(list, r => capped(dot(query, held.key(r)) * a.scale, a.cap)))
        const out = new Float64Array(a.headDim)
        list.forEach((r, n) => held.value(r).forEach((v, c) => { out[c]! += weights[n]! * v }))
        m.f32.set(out, a.out / 4 + at)
      }
  }
}

/** Rows [0, rows), or the last `window` of them. */
function newest(rows: number, window: number): Uint32Array {
  const first = window ? Math.max(0, rows - window) : 0
  return Uint32Array.from({ length: rows - first }, (_, r) => first + r)
}

function attendChunks(m: Memory, a: Words<'attend'>): void {
  const group = a.heads / a.kvHeads, width = 2 + strideOf(a.headDim)
  for (let h = 0; h < a.heads; h++) {
    const kvHead = Math.floor(h / group)
    const { key, value } = rowsOf(m, a.segments, kvHead, a.headDim, a.type)
    const rows = m.u32[a.segments / 4 + kvHead * segmentWords]! + 1
    const query = queryOf(m, a.query + h * a.headDim * 4, a.headDim, a.type)
    for (let first = 0; first < rows; first += chunkRows) {
      const scores = Float64Array.from({ length: Math.min(chunkRows, rows - first) }, (_, i) => capped(dot(query, key(first + i)) * a.scale, a.cap))
      const most = scores.reduce((top, v) => Math.max(top, v), -Infinity)
      const out = new Float64Array(width)
      out[0] = most
      scores.forEach((score, i) => {
        const weight = Math.exp(score - most)
        out[1]! += weight
        value(first + i).forEach((v, c) => { out[2 + c]! += weight * v })
      })
      m.f32.set(out, a.partials / 4 + (first / chunkRows * a.heads + h) * width)
    }
  }
}

function mergeChunks(m: Memory, a: Words<'mergeChunks'>, { tokens }: State): void {
  const group = a.heads / a.kvHeads, width = 2 + strideOf(a.headDim)
  for (let h = 0; h < a.heads; h++) {
    const chunks = Math.ceil((m.u32[a.segments / 4 + Math.floor(h / group) * segmentWords]! + tokens) / chunkRows)
    const parts = Array.from({ length: chunks }, (_, i) => m.f32.subarray(a.partials / 4 + (i * a.heads + h) * width, a.partials / 4 + (i * a.heads + h + 1) * width))
    const most = Math.max(...parts.map(([top]) => top!))
    const out = new Float64Array(a.headDim)
    let sum = 0
    for (const [top, weights, ...values] of parts) {
      const factor = Math.exp(top! - most)
      sum += weights! * factor
      out.forEach((_, c) => { out[c]! += values[c]! * factor })
    }
    m.f32.set(out.map(v => v / sum), a.out / 4 + h * a.headDim)
  }
}

/** Rows whose numbers are read once. */
function remember(rows: Rows): Pick<Rows, 'key' | 'value'> {
  const keys: Float32Array[] = [], values: Float32Array[] = []
  return { key: r => keys[r] ??= rows.key(r), value: r => values[r] ??= rows.value(r) }
}

const family = { attend, mergeChunks }
export { family as attend }
