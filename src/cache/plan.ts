import { boundBytes, isPacked, readType, roomBytes, roomFor, type RowType } from '../kernels/index.ts'
import type { Plan, Policy, Request, Shape } from './policy.ts'
import { fault } from './fault.ts'

/** A method's plan for one prompt, and whether full attention serves it better. */
export interface Planned extends Plan {
  /** Full attention runs. */
  readonly dense: boolean
  /** … in place of what the method would do. */
  readonly fellBack: boolean
  /** Why it is dense; empty where it is not. */
  readonly reason: string
  readonly tokens: number
  readonly answer: number
  readonly budget: number
}

/** Longest answer that the planner counts on; longer ones grow the cache. */
export const expectedAnswer = (maxTokens: number): number => Math.min(maxTokens, 256)

/** Bytes of the rows (and page bounds, and sums of values) that one sequence holds when each KV head holds `rows`. */
export function heldBytes(shape: Shape, kv: RowType, rows: number, pageSize: number, sums = false): number {
  const bounds = pageSize ? boundBytes(kv, shape.headDim, pageSize, Math.ceil(roomFor(kv, rows) / pageSize)) : 0
  return shape.layers * shape.kvHeads * (roomBytes(kv, shape.headDim, rows) + bounds + (sums ? 4 * shape.headDim : 0))
}

interface Wanted extends Request { readonly policy: Policy; readonly kv: RowType }

/** Plans, and falls back to full attention where the method would hold or read as much (design: a method that evicts never holds more than `full`). */
export function planFor({ policy, kv, ...request }: Wanted): Planned {
  const { tokens, answer, budget, shape } = request
  if (!Number.isInteger(budget) || budget < 1) throw fault('usage', `budget must be a whole number of tokens from 1 on, got ${budget}`)
  const base = { tokens, answer, budget }
  const dense = (reason: string): Planned => ({ kept: tokens, read: tokens + answer, pageSize: 0, channels: 0, reserve: answer, ...base, dense: true, fellBack: policy.budget !== 'none' || policy.evicts, reason })
  if (policy.budget === 'none' && !policy.evicts) return dense('it keeps and reads everything')
  if (policy.dense === 'never') return { ...policy.plan(request), ...base, dense: false, fellBack: false, reason: '' }
  if (policy.budget !== 'none' && tokens + answer <= budget) return dense(`prompt and answer (${tokens} + ${answer} tokens) fit the budget of ${budget}`)
  const plan = policy.plan(request)
  if (plan.read >= tokens + answer) return dense(`it would read every one of ${tokens} + ${answer} rows`)
  if (policy.evicts && !policy.history) {
    const own = heldBytes(shape, kv, Math.min(plan.kept, tokens) + plan.reserve, plan.pageSize, policy.decode.sums), full = heldBytes(shape, kv, tokens + answer, 0)
    if (own > full) return dense(`it would hold ${own} bytes, more than the full cache's ${full}`)
  }
  return { ...plan, ...base, dense: false, fellBack: false, reason: '' }
}

export interface Footprint { readonly method: string; readonly held: number; readonly peak: number; readonly full: number; readonly planned: Planned }

/** Bytes a prompt will hold after prefill and at its peak, from lengths alone. */
export function footprint(wanted: Wanted): Footprint {
  const { policy, kv, shape, tokens, answer } = wanted
  const planned = planFor(wanted)
  const full = heldBytes(shape, kv, tokens + answer, 0)
  const cuts = policy.evicts && !planned.dense && planned.kept < tokens
  const { sums } = policy.decode
  const own = (): number => heldBytes(shape, kv, planned.kept + planned.reserve, planned.pageSize, sums)
  // A cut while decoding makes the layer anew beside the old one.
  const again = policy.evicts && !planned.dense && tokens + answer > planned.kept && Array.from({ length: answer }, (_, i) => i + 1).some(policy.when)
    ? own() / shape.layers : 0
  // One layer's rows as a prompt is read into them, where they are cut or packed from.
  const passing = isPacked(kv) || cuts && !policy.history ? heldBytes({ ...shape, layers: 1 }, readType(kv), tokens, 0) : 0
  if (!cuts) {
    const held = planned.dense ? full : heldBytes(shape, kv, tokens + answer, planned.pageSize, sums)
    return { method: policy.name, held, peak: Math.max(held + passing, again ? Math.max(held, own()) + again : 0), full, planned }
  }
  if (policy.history) return { method: policy.name, held: full + own(), peak: full + own() + passing, full, planned }
  return { method: policy.name, held: own(), peak: own() + Math.max(passing, again), full, planned }
}
