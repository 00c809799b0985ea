import { compose } from '../cache/compose.ts'
import type { Policy } from '../cache/policy.ts'
import { seededScore, topTokens } from '../cache/stages/index.ts'
import { heldRows } from './windowBudget.ts'

export interface RandomOptions { seed?: number; dense?: Policy['dense'] }

/** Rows drawn at random, the same for all KV heads of a layer: what every method must beat. kvpress draws for each head. */
export const random = ({ seed = 1, dense = 'auto' }: RandomOptions = {}) => compose({
  name: 'random',
  paper: 'baseline',
  parameters: { seed, dense }, dense,
  plan: heldRows,
  score: seededScore(seed),
  select: topTokens(),
})
