import { integerLayout, type Layout, type Words } from '../kernels/operations.ts'
import { blockOf, dequantized, layoutName, sourceBytes } from './blocks.ts'
import type { Memory, State } from './memory.ts'

/** The reference's packed layout is the file's own: rows of blocks, which need no more room. */
function repack(m: Memory, { out, source, layout, rows, columns, first }: Words<'repack'>): void {
  const bytes = sourceBytes(layoutName(layout), columns)
  m.u8.copyWithin(out + first * bytes, source, source + rows * bytes)
}

/** Σ over blocks of d × s × Σ code·weight + m × s × Σ code, for the activations of row t. */
function integerSum(m: Memory, layout: Layout, row: number, { codes, blocks, columns }: Words<'project'>, t: number): number {
  let sum = 0
  for (let b = 0; b < columns / 32; b++) {
    const weights = blockOf(m, layout, row, b)
    const record = blocks / 4 + (t * (columns / 32) + b) * 4
    let products = 0
    for (let c = 0; c < 32; c++) products += m.i16[codes / 2 + t * columns + 32 * b + c]! * weights.codes[c]!
    sum += m.f32[record]! * weights.d * products + weights.m * m.f32[record + 1]!
  }
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
  const integer = integerLayout(layout) && !exact
  for (let r = 0; r < rows; r++) {
    const at = packed + r * sourceBytes(layout, columns)
    const weights = integer ? null : dequantized(m, layout, at, columns)
    for (let t = 0; t < tokens; t++) {
      let sum = weights ? floatSum(m, weights, values + t * columns * 4) : integerSum(m, layout, at, words, t)
      if (bias) sum += m.f32[bias / 4 + r]!
      const to = out / 4 + (residual ? first + t : t) * rows + r
      m.f32[to] = residual ? m.f32[to]! + sum : sum
    }
  }
}

export const matmul = { repack, project }
