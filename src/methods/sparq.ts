import { compose } from '../cache/compose.ts'
import type { Policy } from '../cache/policy.ts'
import { chosenPages, sparqTokens } from '../cache/stages/index.ts'

export interface SparqOptions { recent?: number; variant?: 'paper' | 'rocketkv'; dense?: Policy['dense'] }

/**
 * SparQ: scores every row by the query's largest channels, reads the best rows, the newest among them, and stands in the mean value for the
 * rest. Half of the budget is traffic of scoring, half rows read, a quarter of which are the newest unless `recent` says otherwise. rocketkv: as
 * the RocketKV paper compares it, without recent rows and mean value.
 */
export const sparq = ({ recent, variant = 'paper', dense = 'auto' }: SparqOptions = {}) => compose({
  name: 'sparq',
  paper: 'arXiv:2312.04985',
  parameters: { ...recent === undefined ? {} : { recent }, variant, dense }, dense, budget: 'traffic', second: 'everything', evicts: false,
  plan: ({ tokens, answer, budget, shape }) => ({
    kept: tokens, read: Math.max(1, Math.floor(budget / 2)), pageSize: 1, reserve: answer,
    channels: Math.max(1, Math.min(shape.headDim, Math.floor(shape.headDim * budget / (tokens + answer)))),
  }),
  decode: variant === 'rocketkv' ? chosenPages({ last: 0 }) : sparqTokens({ recent: read => Math.min(read, recent ?? Math.floor(read / 4)) }),
})
