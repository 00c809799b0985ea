import type { Words } from '../kernels/operations.ts'
import type { Memory, State } from './memory.ts'
import { liveOf } from './tiles.ts'
import { best, put, ranking } from './topk.ts'

const range = (from: number, to: number): number[] => Array.from({ length: Math.max(0, to - from) }, (_, i) => from + i)
const ascending = (rows: Iterable<number>): number[] => [...new Set(rows)].sort((i, j) => i - j)

function topPages(m: Memory, a: Words<'topPages'>, state: State): void {
  for (let s = 0; s < a.sets; s++) {
    const live = liveOf(m, a.segments, Math.floor(s * a.kvHeads / a.sets), state)
    const pages = Math.ceil(live / a.pageSize)
    const rowsOf = (page: number): number[] => range(page * a.pageSize, Math.min(live, (page + 1) * a.pageSize))
    const weights = m.f32.slice(a.weights / 4 + s * a.stride, a.weights / 4 + s * a.stride + pages)
    const first = Math.min(a.first, live), last = Math.min(a.last, live - first)
    const forced = new Set([...range(0, first), ...range(live - last, live)])
    let chosen: number[]
    if (!a.newest) chosen = ranking(weights).map(rowsOf).filter(rows => !rows.every(row => forced.has(row))).flat().slice(0, a.tokens)
    else if (a.tokens >= live) chosen = range(0, live)
    else {
      const others = Math.max(1, Math.floor(a.tokens / a.pageSize)) - 1
      chosen = [...best(weights.subarray(0, pages - 1), others), pages - 1].flatMap(rowsOf)
    }
    put(m, a, s, ascending([...forced, ...chosen]))
  }
}

function firstAndLast(m: Memory, a: Words<'firstAndLast'>, state: State): void {
  for (let h = 0; h < a.kvHeads; h++) {
    const live = liveOf(m, a.segments, h, state)
    put(m, a, h, ascending([...range(0, Math.min(a.first, live)), ...range(Math.max(0, live - a.last), live)]))
  }
}

const family = { topPages, firstAndLast }
export { family as topPages }
