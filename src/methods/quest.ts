import { compose } from '../cache/compose.ts'
import type { Policy } from '../cache/policy.ts'
import { questPages } from '../cache/stages/index.ts'
import { atLeast } from './windowBudget.ts'

export interface QuestOptions { page?: number; variant?: 'paper' | 'rocketkv'; dense?: Policy['dense'] }

/** Layers that Quest leaves whole. */
const wholeLayers = 2

/**
 * Quest: keeps every row, reads only the pages whose bounds say they can matter. The paper's form: pages of 16, each query head for
 * itself, the newest page always, the first two layers whole. rocketkv: as the RocketKV paper compares it, the budget half for scoring (pages
 * of T/t tokens) and half for tokens, scores of the group added.
 */
export const quest = ({ page = 16, variant = 'paper', dense = 'auto' }: QuestOptions = {}) => compose({
  name: 'quest',
  paper: 'arXiv:2406.10774',
  parameters: { page, variant, dense }, dense, budget: variant === 'rocketkv' ? 'traffic' : 'read', second: 'everything', evicts: false,
  plan: ({ tokens, answer, budget }) => variant === 'rocketkv'
    ? { kept: tokens, read: Math.floor(atLeast('quest', budget, 2, '2 tokens') / 2), pageSize: Math.max(1, Math.ceil((tokens + answer) / budget)), channels: 0, reserve: answer }
    : { kept: tokens, read: Math.floor(atLeast('quest', budget, page, `a page of ${page} tokens`) / page) * page, pageSize: page, channels: 0, reserve: answer },
  decode: questPages(variant === 'rocketkv' ? { shared: true } : { dense: wholeLayers }),
})
