import type { Words } from '../kernels/operations.ts'
import type { Memory } from './memory.ts'

function pool(m: Memory, a: Words<'pool'>): void {
  const half = a.kernel >> 1
  for (let s = 0; s < a.sets; s++) {
    const scores = m.f32.subarray(a.scores / 4 + s * a.stride, a.scores / 4 + s * a.stride + a.tokens)
    for (let j = 0; j < a.tokens; j++) {
      const near = scores.subarray(Math.max(0, j - half), j + half + 1)
      m.f32[a.out / 4 + s * a.stride + j] = a.maximum
        ? near.reduce((top, x) => Math.max(top, x), -Infinity)
        : near.reduce((sum, x) => sum + x, 0) / a.kernel
    }
  }
}

function sumSets(m: Memory, a: Words<'sumSets'>): void {
  for (let j = 0; j < a.tokens; j++) {
    let sum = 0
    for (let s = 0; s < a.sets; s++) sum += m.f32[a.scores / 4 + s * a.stride + j]!
    m.f32[a.out / 4 + j] = sum
  }
}

function chunkScore(m: Memory, a: Words<'chunkScore'>): void {
  for (let s = 0; s < a.sets; s++)
    for (let first = 0; first < a.tokens; first += a.chunk) {
      const at = s * a.stride + first, length = Math.min(a.chunk, a.tokens - first)
      const sum = m.f32.subarray(a.scores / 4 + at, a.scores / 4 + at + length).reduce((sum, x) => sum + x, 0)
      m.f32.fill(a.mean ? sum / length : sum, a.out / 4 + at, a.out / 4 + at + length)
    }
}

function raiseLast(m: Memory, a: Words<'raiseLast'>): void {
  const before = Math.max(0, a.tokens - a.last)
  let top = before ? -Infinity : 0
  for (let s = 0; s < a.sets; s++)
    for (let j = 0; j < before; j++) {
      const at = a.scores / 4 + s * a.stride + j
      m.f32[at]! *= a.scale
      top = Math.max(top, m.f32[at]!)
    }
  for (let s = 0; s < a.sets; s++) m.f32.fill(top + 1, a.scores / 4 + s * a.stride + before, a.scores / 4 + s * a.stride + a.tokens)
}

const family = { pool, sumSets, chunkScore, raiseLast }
export { family as pool }
