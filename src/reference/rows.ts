import { rowTypes, type Words } from '../kernels/operations.ts'
import { segmentWords, tileRows } from '../kernels/rows.ts'
import type { Memory, State } from './memory.ts'
import { isPackedType, plainRows, rowsOf, storePacked, type Rows } from './segment.ts'
import type { RowNumbers } from './groups.ts'

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
    const rows = plainRows(m, a.segments, h, a.headDim, isPackedType(a.type) ? rowTypes.f32 : a.type)
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

/** Rows by their numbers, in memory of their own. */
const numbersOf = (from: Rows, list: readonly number[]): RowNumbers[] =>
  list.map(row => ({ key: from.key(row), value: from.value(row), position: from.position(row) }))

function pack(m: Memory, a: Words<'pack'>): void {
  for (let h = 0; h < a.kvHeads; h++) {
    const at = a.segments / 4 + h * segmentWords, count = m.u32[at]!, split = m.u32[at + 1]!
    if (count - split < tileRows) continue
    const rows = rowsOf(m, a.segments, h, a.headDim, a.type)
    storePacked(m, a.segments, h, a.headDim, a.type, numbersOf(rows, Array.from({ length: count - split }, (_, i) => split + i)), split)
  }
}

function gather(m: Memory, a: Words<'gather'>): void {
  for (let h = 0; h < a.kvHeads; h++) {
    const set = a.sets === 1 ? 0 : h
    const n = a.rows ? m.u32[a.counts / 4 + set]! : m.u32[a.from / 4 + h * segmentWords]!
    const list = Array.from({ length: n }, (_, i) => a.rows ? m.u32[a.rows / 4 + set * a.capacity + i]! : i)
    if (isPackedType(a.type)) {
      storePacked(m, a.to, h, a.headDim, a.type, numbersOf(rowsOf(m, a.from, h, a.headDim, a.fromType), list), 0)
      continue
    }
    const to = plainRows(m, a.to, h, a.headDim, a.type), from = plainRows(m, a.from, h, a.headDim, a.fromType)
    list.forEach((row, i) => to.copy(i, from, row))
    to.setCount(n)
  }
}

function gatherRows(m: Memory, a: Words<'gatherRows'>): void {
  for (let i = 0; i < a.count; i++) {
    const from = a.x / 4 + m.u32[a.rows / 4 + i]! * a.width
    m.f32.copyWithin(a.x / 4 + i * a.width, from, from + a.width)
  }
}

export const rows = { append, reposition, advance, pack, observe, gather, gatherRows }
