import type { Request } from '../cache/policy.ts'

/** Rows that a method keeps whose observation window always stays: the budget, which must hold the window. */
export function windowBudget(method: string, { tokens, budget }: Request, window: number): number {
  if (budget < window)
    throw Object.assign(new RangeError(`${method}: budget must be at least the window of ${window} tokens, got ${budget}`), { code: 'usage' })
  return Math.min(tokens, budget)
}
