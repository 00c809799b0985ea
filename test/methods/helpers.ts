import type { DecodeSelect, Policy, Rows } from '../../src/cache/policy.ts'
import type { Kernels } from '../../src/kernels/index.ts'

/** Positions of a golden: numbers, and runs as [start, length]. */
export const unpack = (ranges: readonly (number | [number, number])[]): number[] =>
  ranges.flatMap(r => typeof r === 'number' ? [r] : Array.from({ length: r[1] }, (_, i) => r[0] + i))

/** Share of b's members that a has too. */
export function overlap(a: readonly number[], b: readonly number[]): number {
  const set = new Set(a)
  return b.filter(x => set.has(x)).length / Math.max(1, b.length)
}

/** The policy with the rows of every layer in places of their own, so that a test can read them after a step. */
export function watched(policy: Policy): { policy: Policy; rows: (k: Kernels, layer: number) => Promise<number[][]> } {
  const chosen = new Map<number, Rows>()
  const decode: DecodeSelect = {
    ...policy.decode,
    record(k, query, layer) {
      const rows = policy.decode.record(k, query, { ...layer, temporary: (name, shape, type) => layer.temporary(`${layer.index} ${name}`, shape, type) })
      if (rows) chosen.set(layer.index, rows)
      return rows
    },
  }
  return {
    policy: { ...policy, decode },
    async rows(k, layer) {
      const { rows, counts, sets, capacity } = chosen.get(layer)!
      const n = await k.read(counts, 0, sets)
      return Promise.all(Array.from({ length: sets }, async (_, s) => Array.from(await k.read(rows, s * capacity, n[s]!))))
    },
  }
}

/** Tokens that agree before the first that differs. */
export function agreeing(a: readonly number[], b: readonly number[]): number {
  let n = 0
  while (n < Math.min(a.length, b.length) && a[n] === b[n]) n++
  return n
}
