import type { Plan, Request } from '../cache/policy.ts'
import { fault } from '../cache/fault.ts'

/** The budget, which must be at least what `least` tokens of it are bound to. */
export function atLeast(method: string, budget: number, least: number, what: string): number {
  if (budget < least) throw fault('usage', `${method}: budget must be at least ${what}, got ${budget}`)
  return budget
}

/** Rows that a method keeps whose observation window always stays: the budget, which must hold the window. */
export const windowBudget = (method: string, { tokens, budget }: Request, window: number): number =>
  Math.min(tokens, atLeast(method, budget, window, `the window of ${window} tokens`))

/** A plan that holds the budget and reads all of it. */
export const heldRows = ({ tokens, budget, answer }: Request): Plan =>
  ({ kept: Math.min(tokens, budget), read: budget + answer, pageSize: 0, channels: 0, reserve: answer })
