import { keptAt } from '../plan.ts'
import { asFull, named } from './name.ts'
import type { Allocate } from '../policy.ts'

/** Every KV head of a layer keeps what the plan says of the layer. */
export const uniform = (): Allocate => named(asFull, ({ plan, shape, index }) => Array.from({ length: shape.kvHeads }, () => keptAt(plan, index)))
