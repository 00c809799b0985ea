import type { Plan, Request } from '../cache/policy.ts'
import { fault } from '../cache/fault.ts'

/** RocketKV's split of a token budget t over its two stages. Integers as the authors' accuracy code rounds them. */
export interface RocketPlan {
  /** Prompt and answer, T + N. */
  readonly total: number
  /** Compression ratio total / t, at least 1. */
  readonly ratio: number
  /** Share of the ratio, as an exponent, that stage 1 takes. */
  readonly split: number
  /** Rows after stage 1 with the answer's reserve. */
  readonly capacity: number
  /** Prompt rows that stage 1 keeps, the window among them. */
  readonly kept: number
  /** Stage 2's ratio, capacity / t. */
  readonly ratio2: number
  readonly pageSize: number
  readonly channels: number
  /** Tokens attended per step. */
  readonly read: number
}

export interface RocketOptions {
  readonly tokens: number
  readonly answer: number
  /** t: tokens of memory traffic per step, half of them for scoring. At least 16. */
  readonly budget: number
  readonly headDim: number
  /** Fixed split; by default it adapts to the ratio. 0: stage 2 alone. */
  readonly split?: number
  /** accuracy: the authors' evaluation code (the normative one); efficiency: their timing code. */
  readonly rounding?: 'accuracy' | 'efficiency'
}

/** Nearest whole number, halves to even. */
function halfEven(x: number): number {
  const floor = Math.floor(x)
  return x - floor === 0.5 ? floor + floor % 2 : Math.round(x)
}

/** RocketKV, arXiv:2502.14051, section 3.6; the integers of methods-core B1.2 (accuracy) and B1.3 (efficiency). */
export function planBudget({ tokens, answer, budget, headDim, split, rounding = 'accuracy' }: RocketOptions): RocketPlan {
  if (!(Number.isInteger(budget) && budget >= 16))
    throw fault('usage', `budget must be a whole number of tokens from 16 on, got ${budget}`)
  const total = rounding === 'efficiency' ? Math.ceil((tokens + answer) / 8) * 8 : tokens + answer
  const t = rounding === 'efficiency' ? Math.min(total, budget) : budget
  const ratio = Math.max(1, total / t)
  const alpha = split ?? Math.min(0.2 + 0.06 * Math.log2(ratio), 0.8)
  let capacity = Math.trunc(total / ratio ** alpha)
  if (rounding === 'accuracy') capacity = Math.max(capacity, Math.min(2 * answer, total))
  const kept = rounding === 'accuracy' ? capacity - answer : Math.min(total - answer, capacity - answer)
  const ratio2 = Math.max(1, capacity / t)
  const root = Math.ceil(Math.sqrt(ratio2))
  const pageSize = rounding === 'accuracy' ? root <= ratio2 ? root : 1 : Math.min(Math.floor(ratio2), root)
  const scaled = headDim * pageSize / ratio2
  return {
    total, ratio, split: alpha, capacity, kept, ratio2, pageSize,
    channels: rounding === 'accuracy' ? Math.trunc(scaled) : Math.min(headDim, Math.max(1, halfEven(scaled))),
    read: rounding === 'accuracy' ? Math.floor(t / 2) : Math.min(capacity, halfEven(t / 2)),
  }
}

/** The plan a cache runs: at least the window is kept, at most the prompt. */
export function rocketPlan({ tokens, answer, budget, shape }: Request, window: number, split?: number): Plan {
  const plan = planBudget({ tokens, answer, budget, headDim: shape.headDim, ...split === undefined ? {} : { split } })
  return {
    kept: split === 0 ? tokens : Math.min(tokens, Math.max(plan.kept, window)),
    read: plan.read, pageSize: plan.pageSize, channels: Math.max(1, plan.channels), reserve: answer,
  }
}
