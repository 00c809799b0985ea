import { compose } from '../cache/compose.ts'
import type { Policy } from '../cache/policy.ts'
import { topTokensByProbability } from '../cache/stages/index.ts'

export interface ExactTopkOptions { variant?: 'paper' | 'perQueryHead'; dense?: Policy['dense'] }

/**
 * Exact top-k: each step reads the rows with the highest attention, found by scoring every key. By default one set per KV head, by the
 * group's mean probability; perQueryHead is the oracle of the RocketKV paper, each query head for itself.
 */
export const exactTopk = ({ variant = 'paper', dense = 'auto' }: ExactTopkOptions = {}) => compose({
  name: 'exact-topk',
  paper: 'arXiv:2502.14051',
  parameters: { variant, dense }, dense, budget: 'read', second: 'everything', evicts: false,
  plan: ({ tokens, answer, budget }) => ({ kept: tokens, read: budget, pageSize: 0, channels: 0, reserve: answer }),
  decode: topTokensByProbability(variant === 'perQueryHead' ? 'queryHead' : 'kvHead'),
})
