import { rowTypes, type Words } from '../kernels/operations.ts'
import { segmentWords } from '../kernels/rows.ts'
import { capped } from './activation.ts'
import type { Memory, State } from './memory.ts'
import { nearest, rowsOf, type Rows } from './segment.ts'

/** The query [headDim] at address `at` as a score reads it: i16 rows meet codes in [−4095, 4095] × scale, rounded as rows are. */
export function queryOf(m: Memory, at: number, headDim: number, type: number): Float64Array {
  const x = Float64Array.from(m.f32.subarray(at / 4, at / 4 + headDim))
  if (type === rowTypes.f32) return x
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

/** Rows whose numbers are read once. */
function remember(rows: Rows): Pick<Rows, 'key' | 'value'> {
  const keys: Float32Array[] = [], values: Float32Array[] = []
  return { key: r => keys[r] ??= rows.key(r), value: r => values[r] ??= rows.value(r) }
}

const family = { attend }
export { family as attend }
