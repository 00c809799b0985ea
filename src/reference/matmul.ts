import { integerLayout } from '../kernels/layouts.ts'
import type { Words } from '../kernels/operations.ts'
import { blockOf, dequantized, layoutName, packBlock, rowBytes, type Block } from './blocks.ts'
import type { Memory, State } from './memory.ts'
import { sourceOf } from './sources.ts'

function repack(m: Memory, { out, source, type, layout, rows, columns, first }: Words<'repack'>): void {
  const name = layoutName(layout), file = sourceOf(type)
  const from = columns / file.columns * file.bytes, to = rowBytes(name, columns)
  for (let r = 0; r < rows; r++) {
    const row = out + (first + r) * to
    if (!integerLayout(name)) m.u8.copyWithin(row, source + r * from, source + (r + 1) * from)
    else for (let b = 0; b < columns / 32; b++) packBlock(m, name, row, b, type, source + r * from)
  }
}

/** Σ over steps of d × s × Σ code·weight + m × s × Σ code, for the activations of row t. */
function integerSum(m: Memory, row: readonly Block[], { codes, blocks, columns }: Words<'project'>, t: number): number {
  let sum = 0
  row.forEach((weights, b) => {
    const scale = m.f32[blocks / 4 + (t * (columns / 32) + b) * 4]!
    weights.d.forEach((d, i) => {
      let products = 0, all = 0
      for (let c = weights.step * i; c < weights.step * (i + 1); c++) {
        const code = m.i16[codes / 2 + t * columns + 32 * b + c]!
        products += code * weights.codes[c]!
        all += code
      }
      sum += scale * d * products + weights.m[i]! * scale * all
    })
  })
  return sum
}

function floatSum(m: Memory, weights: Float32Array, values: number): number {
  let sum = 0
  for (let c = 0; c < weights.length; c++) sum += weights[c]! * m.f32[values / 4 + c]!
  return sum
}

function project(m: Memory, words: Words<'project'>, { tokens, row: first }: State): void {
  const { out, values, packed, bias, rows, columns, residual, exact } = words
  const layout = layoutName(words.layout)
  for (let r = 0; r < rows; r++) {
    const at = packed + r * rowBytes(layout, columns)
    const integers = integerLayout(layout) && !exact ? Array.from({ length: columns / 32 }, (_, b) => blockOf(m, layout, at, b)) : null
    const weights = integers ? null : dequantized(m, layout, at, columns)
    for (let t = 0; t < tokens; t++) {
      let sum = integers ? integerSum(m, integers, words, t) : floatSum(m, weights!, values + t * columns * 4)
      if (bias) sum += m.f32[bias / 4 + r]!
      const to = out / 4 + (residual ? first + t : t) * rows + r
      m.f32[to] = residual ? m.f32[to]! + sum : sum
    }
  }
}

export const matmul = { repack, project }
