import { compose } from '../cache/compose.ts'
import type { Policy } from '../cache/policy.ts'
import { keyScore, topTokens } from '../cache/stages/index.ts'
import { heldRows } from './windowBudget.ts'

export interface KeydiffOptions { dense?: Policy['dense'] }

/**
 * KeyDiff: the rows whose keys are least like the mean of all keys, each over its norm. At once at the end of the prompt, as in kvpress, where the
 * paper cuts block by block.
 */
export const keydiff = ({ dense = 'auto' }: KeydiffOptions = {}) => compose({
  name: 'keydiff',
  paper: 'arXiv:2504.15364',
  parameters: { dense }, dense,
  plan: heldRows,
  score: keyScore('difference'),
  select: topTokens(),
})
