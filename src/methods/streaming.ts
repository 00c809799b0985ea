import { compose } from '../cache/compose.ts'
import type { Policy } from '../cache/policy.ts'
import { every, firstAndLast, firstAndLastRows } from '../cache/stages/index.ts'
import { atLeast } from './windowBudget.ts'

export interface StreamingOptions { sinks?: number; variant?: 'paper' | 'kvpress'; dense?: Policy['dense'] }

/** Steps between two cuts: so many rows more than the budget are held meanwhile, and not read. */
const interval = 64

/**
 * StreamingLLM: the first tokens and a sliding window of the newest. Keys keep the rotation of their own positions, as in kvpress, where
 * the authors' code rotates by place in the cache; so both variants are the same here.
 */
export const streaming = ({ sinks = 4, variant = 'paper', dense = 'auto' }: StreamingOptions = {}) => compose({
  name: 'streaming',
  paper: 'arXiv:2309.17453',
  parameters: { sinks, variant, dense }, dense,
  plan: ({ budget }) => ({ kept: atLeast('streaming', budget, sinks + 1, `${sinks} sinks and one token`), read: budget, pageSize: 0, channels: 0, reserve: interval }),
  when: every(interval),
  select: firstAndLast(sinks),
  decode: firstAndLastRows(sinks),
})
