import { compose } from '../cache/compose.ts'
import type { Policy } from '../cache/policy.ts'
import { averagePool, maximumPool, topTokens, windowAttention } from '../cache/stages/index.ts'
import { windowBudget } from './windowBudget.ts'

export interface SnapkvOptions { window?: number; kernel?: number; pool?: 'maximum' | 'average'; variant?: 'paper' | 'kvpress'; dense?: Policy['dense'] }

/**
 * SnapKV: the prompt's last queries vote for the rows worth keeping. One set per KV head, the votes of its group added. kvpress's variant
 * has its defaults: window 64, average over 5.
 */
export function snapkv({ variant = 'paper', window = variant === 'kvpress' ? 64 : 32, kernel = variant === 'kvpress' ? 5 : 7,
  pool = variant === 'kvpress' ? 'average' : 'maximum', dense = 'auto' }: SnapkvOptions = {}): Policy {
  return compose({
    name: 'snapkv',
    paper: 'arXiv:2404.14469',
    parameters: { window, kernel, pool, variant, dense }, dense,
    plan: request => ({ kept: windowBudget('snapkv', request, window), read: request.budget + request.answer,
      pageSize: 0, channels: 0, reserve: request.answer }),
    score: windowAttention(window),
    pool: pool === 'average' ? averagePool(kernel) : maximumPool(kernel),
    select: topTokens(),
  })
}
