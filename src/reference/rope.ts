import type { Words } from '../kernels/operations.ts'
import type { Memory, State } from './memory.ts'

function ropeFrequencies(m: Memory, a: Words<'ropeFrequencies'>): void {
  for (let i = 0; i < a.rotary / 2; i++)
    m.f64[a.out / 8 + i] = a.base ** (-2 * i / a.rotary) / (a.factors ? m.f32[a.factors / 4 + i]! : 1)
}

function ropeTable(m: Memory, a: Words<'ropeTable'>, { tokens, position, row }: State): void {
  const half = a.rotary / 2
  for (let i = 0; i < tokens; i++)
    for (let c = 0; c < half; c++) {
      const angle = (position + i) * m.f64[a.frequencies / 8 + c]!
      const at = a.out / 4 + ((row + i) * half + c) * 2
      m.f32[at] = Math.cos(angle) * a.magnitude
      m.f32[at + 1] = Math.sin(angle) * a.magnitude
    }
}

function rope(m: Memory, a: Words<'rope'>, { tokens, row }: State): void {
  const half = a.rotary / 2
  for (let i = 0; i < tokens; i++)
    for (let h = 0; h < a.heads; h++)
      for (let c = 0; c < half; c++) {
        const table = a.table / 4 + ((row + i) * half + c) * 2
        const x = a.x / 4 + (i * a.heads + h) * a.headDim
        const low = x + (a.halves ? c : 2 * c), high = x + (a.halves ? c + half : 2 * c + 1)
        const cos = m.f32[table]!, sin = m.f32[table + 1]!, u = m.f32[low]!, v = m.f32[high]!
        m.f32[low] = u * cos - v * sin
        m.f32[high] = u * sin + v * cos
      }
}

const family = { ropeFrequencies, ropeTable, rope }
export { family as rope }
