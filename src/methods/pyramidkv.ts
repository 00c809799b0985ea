import { compose } from '../cache/compose.ts'
import type { Policy, Request } from '../cache/policy.ts'
import { averagePool, maximumPool, topTokens, windowAttention } from '../cache/stages/index.ts'
import { heldRows, windowBudget } from './windowBudget.ts'

export interface PyramidkvOptions { window?: number; kernel?: number; beta?: number; variant?: 'paper' | 'kvpress'; dense?: Policy['dense'] }

/**
 * PyramidKV: SnapKV's scores; rows fall from layer to layer by the same step, from first to last as beta says. The budget is their mean, but for a step in
 * whole rows, which leaves up to half a row a layer more. Layers that slide do not count. kvpress: its SnapKV, window 64, average over 5; the window
 * within the pyramid, and the budget everywhere where the last layer could not hold it.
 */
export function pyramidkv({ variant = 'paper', window = variant === 'kvpress' ? 64 : 8, kernel = variant === 'kvpress' ? 5 : 7, beta = 20, dense = 'auto' }: PyramidkvOptions = {}): Policy {
  const layersOf = variant === 'kvpress' ? kvpressLayers : paperLayers
  return compose({
    name: 'pyramidkv',
    paper: 'arXiv:2406.02069',
    parameters: { window, kernel, beta, variant, dense }, dense,
    plan(request) {
      const budget = windowBudget('pyramidkv', request, window), { layers: all, windows = [] } = request.shape
      const cut = Array.from({ length: all }, (_, at) => at).filter(at => !windows[at])
      const rows = cut.length > 1 ? layersOf(request, window, beta, cut.length) : cut.map(() => budget)
      const layers = Array.from({ length: all }, (_, at) => rows[cut.indexOf(at)] ?? budget)
      return { ...heldRows(request), kept: rows.reduce((a, b) => a + b, 0) / rows.length, layers }
    },
    score: windowAttention(window),
    pool: variant === 'kvpress' ? averagePool(kernel) : maximumPool(kernel),
    select: topTokens(),
  })
}

/** Rows a layer, as the authors' code has them: the window comes on top of a pyramid of the rest. */
export function paperLayers({ tokens, budget }: Pick<Request, 'tokens' | 'budget'>, window: number, beta: number, layers: number): number[] {
  const share = Math.min(tokens, budget) - window, rest = tokens - window
  const flat = tokens < 2 * share || tokens <= budget
  const most = flat ? share : Math.min(2 * share - Math.floor(share / beta), rest)
  const least = 2 * share - most, step = Math.floor((most - least) / (layers - 1))
  return Array.from({ length: layers }, (_, layer) => most - layer * step + window)
}

/** … as kvpress has them: of T × (1 − ratio) rows, its ratio being 1 − (budget + ½) / T; rounded, halves to even. */
export function kvpressLayers({ tokens, budget }: Pick<Request, 'tokens' | 'budget'>, window: number, beta: number, layers: number): number[] {
  const share = tokens * (1 - (1 - (budget + 0.5) / tokens)), rest = tokens - window
  const most = Math.min(2 * share - share / beta, rest), least = 2 * share - most
  const falls = tokens >= most && most >= least && least >= window
  const even = (x: number): number => x % 1 === 0.5 ? 2 * Math.round(x / 2) : Math.round(x)
  return Array.from({ length: layers }, (_, layer) => Math.min(tokens, even(falls ? most - layer * (most - least) / (layers - 1) : share)))
}
