import { compose } from '../cache/compose.ts'
import type { Policy } from '../cache/policy.ts'
import { every, firstAndLast, firstAndLastRows } from '../cache/stages/index.ts'

/** Steps between two cuts: so many rows more than the budget are held meanwhile, and not read. */
const interval = 64

export interface StreamingOptions { sinks?: number; dense?: Policy['dense'] }

/**
 * StreamingLLM: the first tokens and a sliding window of the newest. Keys keep the rotation of their own positions (as in kvpress),
 * where the authors' code rotates by place in the cache.
 */
export const streaming = ({ sinks = 4, dense = 'auto' }: StreamingOptions = {}): Policy => compose({
  name: 'streaming',
  paper: 'arXiv:2309.17453',
  parameters: { sinks, dense }, dense,
  plan: ({ budget }) => ({ kept: budget, read: budget, pageSize: 0, channels: 0, reserve: interval }),
  when: every(interval),
  select: firstAndLast(sinks),
  decode: firstAndLastRows(sinks),
})
