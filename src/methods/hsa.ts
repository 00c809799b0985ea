import { compose } from '../cache/compose.ts'
import type { Policy } from '../cache/policy.ts'
import { chosenPages } from '../cache/stages/index.ts'
import { rocketPlan } from './rocketPlan.ts'

export interface HsaOptions { forcedRecent?: number; forcedSinks?: number; dense?: Policy['dense'] }

/** RocketKV's stage 2 alone (hybrid sparse attention): nothing is evicted, pages are larger. The ablation of RocketKV, arXiv:2502.14051. */
export const hsa = ({ forcedRecent, forcedSinks = 0, dense = 'auto' }: HsaOptions = {}) => compose({
  name: 'hsa',
  paper: 'arXiv:2502.14051',
  parameters: { ...forcedRecent === undefined ? {} : { forcedRecent }, forcedSinks, dense }, dense, budget: 'traffic', second: 'everything', evicts: false,
  plan: request => rocketPlan(request, 0, 0),
  decode: chosenPages({ first: forcedSinks, ...forcedRecent === undefined ? {} : { last: forcedRecent } }),
})
