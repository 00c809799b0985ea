import type { Allocate } from '../policy.ts'

/** Every KV head of every layer keeps plan.kept rows. */
export const uniform = (): Allocate => ({ plan, shape }) => Array.from({ length: shape.kvHeads }, () => plan.kept)
