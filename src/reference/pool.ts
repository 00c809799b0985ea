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

const family = { pool, sumSets, chunkScore }
export { family as pool }
