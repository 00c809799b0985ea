import type { Policy } from './policy.ts'
import { everything, readAll, prefillOnly, asIs, uniform } from './stages/index.ts'

type Chosen = Pick<Policy, 'name' | 'paper' | 'plan'> & Partial<Policy>

/** A policy from the stages in which it differs from the full cache. Refuses stages that cannot work together. */
export function compose(method: Chosen): Policy {
  const policy: Policy = {
    parameters: {}, budget: 'held', second: 'what was kept', evicts: true, history: false, dense: 'auto',
    when: prefillOnly(), score: null, pool: asIs(), allocate: uniform(), select: everything(), store: null, decode: readAll(),
    ...method,
  }
  if (policy.history && !policy.evicts)
    throw new TypeError(`${policy.name}: a method that keeps the history beside an active set must choose that set, got none that evicts`)
  if (policy.dense !== 'auto' && policy.dense !== 'never')
    throw new RangeError(`${policy.name}: dense must be auto or never, got ${policy.dense}`)
  return policy
}
