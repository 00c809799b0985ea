import { compose } from '../cache/compose.ts'
import type { Policy } from '../cache/policy.ts'
import { averagePool, chunks, named, reuse as reused, sharedHeads, topChunks, topTokens, windowAttention, windowOnTop } from '../cache/stages/index.ts'
import { windowBudget } from './windowBudget.ts'

export interface ChunkkvOptions { window?: number; chunk?: number; kernel?: number; reuse?: number; variant?: 'paper' | 'kvpress'; dense?: Policy['dense'] }

/**
 * ChunkKV: rows are kept in chunks of neighbours, one set for all KV heads; the window always stays. reuse: layers that share one choice (the
 * paper tries 2). kvpress's variant scores chunks of 20 by the mean, the window's too, and keeps whole chunks only.
 */
export function chunkkv({ variant = 'paper', window = variant === 'kvpress' ? 64 : 32, chunk = variant === 'kvpress' ? 20 : 10, kernel = 5,
  reuse = 1, dense = 'auto' }: ChunkkvOptions = {}): Policy {
  const kvpress = variant === 'kvpress'
  const pool = averagePool(kernel), shared = sharedHeads()
  return compose({
    name: 'chunkkv',
    paper: 'arXiv:2502.00299',
    parameters: { window, chunk, ...kvpress ? { kernel } : {}, reuse, variant, dense }, dense,
    plan: request => ({
      kept: kvpress ? Math.min(request.tokens, keptChunks(request.tokens, request.budget, chunk) * chunk) : windowBudget('chunkkv', request, window),
      read: request.budget + request.answer, pageSize: 0, channels: 0, reserve: request.answer,
    }),
    score: windowAttention(window),
    pool: kvpress ? named(`${pool.name}, mean of chunk (${chunk})`, (k, scores, layer) => shared(k, windowOnTop(k, pool(k, scores, layer), layer), layer)) : chunks(chunk, 'sum'),
    select: reused(reuse, kvpress ? topChunks(chunk, ({ tokens, plan }) => keptChunks(tokens, plan.budget, chunk)) : topTokens()),
  })
}

/** kvpress keeps int(chunks × (1 − ratio)) chunks, at least one; its ratio is 1 − (budget + ½) / tokens. */
function keptChunks(tokens: number, budget: number, chunk: number): number {
  const ratio = 1 - (budget + 0.5) / tokens
  return Math.max(1, Math.trunc(Math.ceil(tokens / chunk) * (1 - ratio)))
}
