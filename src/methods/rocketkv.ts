import { compose } from '../cache/compose.ts'
import type { Policy } from '../cache/policy.ts'
import { chosenPages, maximumPool, topTokens, windowAttention } from '../cache/stages/index.ts'
import { rocketPlan } from './rocketPlan.ts'

export interface RocketkvOptions { window?: number; kernel?: number; forcedRecent?: number; forcedSinks?: number; dense?: Policy['dense'] }

/**
 * RocketKV: stage 1 evicts prompt rows as SnapKV would, with wide pooling; stage 2 reads, each step, the tokens of the pages whose bounds over
 * a few channels promise most. forcedRecent, forcedSinks: newest and first rows that are read besides; as many newest ones as the
 * model asks for unless told otherwise, which is none but where queries and keys are normalised.
 */
export function rocketkv({ window = 32, kernel = 63, forcedRecent, forcedSinks = 0, dense = 'auto' }: RocketkvOptions = {}): Policy {
  return compose({
    name: 'rocketkv',
    paper: 'arXiv:2502.14051',
    parameters: { window, kernel, ...forcedRecent === undefined ? {} : { forcedRecent }, forcedSinks, dense }, dense, budget: 'traffic',
    plan: request => rocketPlan(request, window),
    score: windowAttention(window),
    pool: maximumPool(kernel),
    select: topTokens(),
    decode: chosenPages({ first: forcedSinks, ...forcedRecent === undefined ? {} : { last: forcedRecent } }),
  })
}
