import type { Words } from '../kernels/operations.ts'
import type { Memory, State } from './memory.ts'
import { rowsOf } from './segment.ts'
import { liveOf } from './tiles.ts'

function sumValues(m: Memory, a: Words<'sumValues'>, state: State): void {
  for (let h = 0; h < a.kvHeads; h++) {
    const rows = rowsOf(m, a.segments, h, a.headDim, a.type), at = a.sums / 4 + h * a.headDim
    const sum = a.all ? new Float64Array(a.headDim) : Float64Array.from(m.f32.subarray(at, at + a.headDim))
    for (let row = a.all ? 0 : rows.count; row < liveOf(m, a.segments, h, state); row++) rows.value(row).forEach((x, c) => { sum[c]! += x })
    m.f32.set(sum, at)
  }
}

function blendMean(m: Memory, a: Words<'blendMean'>, state: State): void {
  for (let h = 0; h < a.heads; h++) {
    const kvHead = Math.floor(h * a.kvHeads / a.heads), set = Math.floor(h * a.sets / a.heads)
    const live = liveOf(m, a.segments, kvHead, state), count = m.u32[a.counts / 4 + set]!
    const rows = m.u32.subarray(a.rows / 4 + set * a.capacity, a.rows / 4 + set * a.capacity + count)
    const scores = m.f32.subarray(a.scores / 4 + h * a.stride, a.scores / 4 + h * a.stride + live)
    const top = scores.reduce((top, x) => Math.max(top, x), -Infinity)
    const weight = (x: number): number => Math.exp((x - top) / m.f32[a.temperature / 4 + h]!)
    const share = rows.reduce((sum, row) => sum + weight(scores[row]!), 0) / scores.reduce((sum, x) => sum + weight(x), 0)
    for (let c = 0; c < a.headDim; c++) {
      const out = a.out / 4 + h * a.headDim + c
      m.f32[out] = share * m.f32[out]! + (1 - share) * m.f32[a.sums / 4 + kvHead * a.headDim + c]! / live
    }
  }
}

export const values = { sumValues, blendMean }
