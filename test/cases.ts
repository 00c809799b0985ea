/** Lengths around every boundary a kernel can have: a lane, an unroll, a page, a tile. */
export const lengths = [1, 3, 4, 5, 7, 8, 15, 16, 17, 31, 33, 63, 64, 65, 80, 128]

/** Query heads per KV head. */
export const groups = [1, 2, 3, 4, 7, 8, 9]

/** Channels of a head: even ones that models use, and small ones of the published vectors. */
export const headDims = [2, 4, 32, 64, 80, 96, 128, 256]

/** Seeded numbers in [0, 1): a 32-bit linear congruential step, upper bits. */
export function random(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return (state >>> 8) / 0x1000000
  }
}

/** Multiples of 1/8 in [−4, 4], seeded. Sums of up to 16,384 products are exact in f32, in any order. */
export function grid(n: number, seed = 1): Float32Array {
  const next = random(seed)
  return Float32Array.from({ length: n }, () => (Math.floor(next() * 65) - 32) / 8)
}

/** Bell-shaped numbers of deviation about 1, seeded. */
export function normal(n: number, seed = 1): Float32Array {
  const next = random(seed)
  return Float32Array.from({ length: n }, () => (next() + next() + next() + next() - 2) * Math.sqrt(3))
}
