import { asFull, named } from './name.ts'
import type { Allocate } from '../policy.ts'

/** Every KV head of every layer keeps plan.kept rows. */
export const uniform = (): Allocate => named(asFull, ({ plan, shape }) => Array.from({ length: shape.kvHeads }, () => plan.kept))
