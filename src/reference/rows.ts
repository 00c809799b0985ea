import type { Words } from '../kernels/operations.ts'
import { segmentWords } from '../kernels/rows.ts'
import type { Memory, State } from './memory.ts'
import { rowsOf } from './segment.ts'

function append(m: Memory, a: Words<'append'>, { tokens, position }: State): void {
  for (let h = 0; h < a.kvHeads; h++) {
    const rows = rowsOf(m, a.segments, h, a.headDim, a.type)
    for (let i = 0; i < tokens; i++) {
      const at = (i * a.kvHeads + h) * a.headDim
      rows.write(rows.count + i,
        m.f32.subarray(a.keys / 4 + at, a.keys / 4 + at + a.headDim),
        m.f32.subarray(a.values / 4 + at, a.values / 4 + at + a.headDim), position + i)
    }
  }
}

function reposition(m: Memory, a: Words<'reposition'>, { tokens, row }: State): void {
  for (let h = 0; h < a.kvHeads; h++) {
    const rows = rowsOf(m, a.segments, h, a.headDim, a.type)
    for (let i = 0; i < tokens; i++) m.u32[rows.place(rows.count + i).position / 4] = m.u32[a.positions / 4 + row + i]!
  }
}

function advance(m: Memory, a: Words<'advance'>, { tokens }: State): void {
  for (let h = 0; h < a.kvHeads; h++) m.u32[a.segments / 4 + h * segmentWords]! += tokens
}

function observe(m: Memory, a: Words<'observe'>, { tokens, position }: State): void {
  const n = a.heads * a.headDim
  for (let i = 0; i < tokens; i++)
    m.f32.copyWithin(a.ring / 4 + (position + i) % a.window * n, a.query / 4 + i * n, a.query / 4 + (i + 1) * n)
}

function gather(m: Memory, a: Words<'gather'>): void {
  for (let h = 0; h < a.kvHeads; h++) {
    const set = a.sets === 1 ? 0 : h
    const to = rowsOf(m, a.to, h, a.headDim, a.type), from = rowsOf(m, a.from, h, a.headDim, a.type)
    const n = m.u32[a.counts / 4 + set]!
    for (let i = 0; i < n; i++) to.copy(i, from, m.u32[a.rows / 4 + set * a.capacity + i]!)
    to.setCount(n)
  }
}

function gatherRows(m: Memory, a: Words<'gatherRows'>): void {
  for (let i = 0; i < a.count; i++) {
    const from = a.x / 4 + m.u32[a.rows / 4 + i]! * a.width
    m.f32.copyWithin(a.x / 4 + i * a.width, from, from + a.width)
  }
}

export const rows = { append, reposition, advance, observe, gather, gatherRows }
