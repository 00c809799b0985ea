import { compose } from '../cache/compose.ts'
import type { Policy } from '../cache/policy.ts'
import { keyScore, topTokens } from '../cache/stages/index.ts'
import { heldRows } from './windowBudget.ts'

export interface KnormOptions { dense?: Policy['dense'] }

/** L2 norm: the rows with the shortest keys stay, no window. Every layer is cut, as in kvpress; the authors leave the first one or two whole. */
export const knorm = ({ dense = 'auto' }: KnormOptions = {}) => compose({
  name: 'knorm',
  paper: 'arXiv:2406.11430',
  parameters: { dense }, dense,
  plan: heldRows,
  score: keyScore('norm'),
  select: topTokens(),
})
