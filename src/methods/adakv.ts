import { compose } from '../cache/compose.ts'
import type { Policy } from '../cache/policy.ts'
import { averagePool, maximumPool, sharedTokens, windowAttention } from '../cache/stages/index.ts'
import { heldRows, windowBudget } from './windowBudget.ts'

export interface AdakvOptions { window?: number; kernel?: number; floor?: number; variant?: 'paper' | 'kvpress'; dense?: Policy['dense'] }

/**
 * AdaKV: SnapKV's scores, but the KV heads of a layer share its rows by them. No head has fewer than `floor` percent of an equal share, as in kvpress;
 * the authors' code adds that share to the rest of the head's own. kvpress: its SnapKV, window 64, average over 5.
 */
export function adakv({ variant = 'paper', window = variant === 'kvpress' ? 64 : 32, kernel = variant === 'kvpress' ? 5 : 7, floor = 20, dense = 'auto' }: AdakvOptions = {}): Policy {
  return compose({
    name: 'adakv',
    paper: 'arXiv:2407.11550',
    parameters: { window, kernel, floor, variant, dense }, dense,
    plan: request => ({ ...heldRows(request), kept: windowBudget('adakv', request, window), shared: true }),
    score: windowAttention(window),
    pool: variant === 'kvpress' ? averagePool(kernel) : maximumPool(kernel),
    select: sharedTokens(floor),
  })
}
