import type { Words } from '../kernels/operations.ts'
import type { Memory, State } from './memory.ts'
import { nearest } from './nearest.ts'

interface Target { readonly values: number; readonly codes: number; readonly blocks: number }

/** Stores row t of activations [T, dim] as src/kernels/activations.ts says. */
function put(m: Memory, to: Target, t: number, dim: number, x: Float32Array): void {
  if (to.values) m.f32.set(x, to.values / 4 + t * dim)
  if (!to.codes) return
  for (let b = 0; b * 32 < dim; b++) {
    const block = x.subarray(b * 32, b * 32 + 32)
    const largest = block.reduce((top, v) => Math.max(top, Math.abs(v)), 0)
    let scale = 0
    if (largest) for (scale = 2 ** -126; largest > 32639 * scale; scale *= 2);
    let sum = 0, first = 0
    block.forEach((v, i) => {
      const code = scale ? nearest(v / scale) : 0
      m.i16[to.codes / 2 + t * dim + b * 32 + i] = code
      sum += code
      if (i < 16) first += code
    })
    const at = to.blocks / 4 + (t * dim / 32 + b) * 4
    m.f32[at] = scale
    m.f32[at + 1] = scale * sum
    m.i32[at + 2] = sum
    m.i32[at + 3] = first
  }
}

/** RMS norm of x times the weight at an address. */
function normed(m: Memory, x: Float32Array, weight: number, epsilon: number): Float32Array {
  const squares = x.reduce((sum, v) => sum + v * v, 0)
  const inverse = Math.fround(1 / Math.sqrt(squares / x.length + epsilon))
  return x.map((v, i) => Math.fround(v * inverse) * m.f32[weight / 4 + i]!)
}

function normalize(m: Memory, a: Words<'normalize'>, { tokens, row }: State): void {
  for (let t = 0; t < tokens; t++) {
    const x = m.f32.subarray(a.x / 4 + (row + t) * a.dim, a.x / 4 + (row + t + 1) * a.dim)
    put(m, a, t, a.dim, normed(m, x, a.weight, a.epsilon))
  }
}

function quantize(m: Memory, a: Words<'quantize'>, { tokens, row }: State): void {
  const first = a.residual ? row : 0
  for (let t = 0; t < tokens; t++) put(m, a, t, a.dim, m.f32.slice(a.x / 4 + (first + t) * a.dim, a.x / 4 + (first + t + 1) * a.dim))
}

function gate(m: Memory, a: Words<'gate'>, { tokens }: State): void {
  for (let t = 0; t < tokens; t++)
    put(m, a, t, a.dim, Float32Array.from({ length: a.dim }, (_, i) => {
      const g = m.f32[a.gate / 4 + t * a.dim + i]!, u = m.f32[a.up / 4 + t * a.dim + i]!
      const y = a.gelu ? 2 * Math.sqrt(2 / Math.PI) * (g + 0.044715 * g ** 3) : g
      return g / (1 + Math.exp(-y)) * u
    }))
}

function normalizeHeads(m: Memory, a: Words<'normalizeHeads'>, { tokens }: State): void {
  for (let i = 0; i < tokens * a.heads; i++) {
    const x = m.f32.subarray(a.x / 4 + i * a.headDim, a.x / 4 + (i + 1) * a.headDim)
    x.set(normed(m, x, a.weight, a.epsilon))
  }
}

function join(m: Memory, a: Words<'join'>, { tokens, row }: State): void {
  for (let t = 0; t < tokens; t++) {
    const x = m.f32.subarray(a.x / 4 + t * a.dim, a.x / 4 + (t + 1) * a.dim), out = a.out / 4 + (row + t) * a.dim
    const added = a.weight ? normed(m, x, a.weight, a.epsilon) : x
    added.forEach((v, i) => { m.f32[out + i]! += a.scale * v })
  }
}

function softcap(m: Memory, a: Words<'softcap'>, { tokens }: State): void {
  for (let i = a.x / 4, end = i + tokens * a.n; i < end; i++) m.f32[i] = capped(a.scale * m.f32[i]!, a.cap)
}

/** cap × tanh(x / cap); x where cap is 0. */
export const capped = (x: number, cap: number): number => cap ? cap * Math.tanh(x / cap) : x

export const activation = { normalize, quantize, gate, normalizeHeads, join, softcap }
