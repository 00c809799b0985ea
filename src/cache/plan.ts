import { boundBytes, rowBytes, wholeTiles, type RowType } from '../kernels/index.ts'
import type { Plan, Policy, Request, Shape } from './policy.ts'
import { fault } from './fault.ts'
import { leftBehind, slidingRoom } from './slide.ts'

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

/** Bytes of the rows (and page bounds, and sums of values) that one sequence holds when each KV head holds `rows`, in layers that do not slide. */
export function heldBytes(shape: Shape, kv: RowType, rows: number, pageSize: number, sums = false): number {
  const room = wholeTiles(rows), layers = shape.layers - (shape.windows ?? []).filter(window => window > 0).length
  const bounds = pageSize ? boundBytes(kv, shape.headDim, pageSize, Math.ceil(room / pageSize)) : 0
  return layers * shape.kvHeads * (room * rowBytes(kv, shape.headDim) + bounds + (sums ? 4 * shape.headDim : 0))
}

/** Bytes of the layers that slide, after a prompt. */
export const slidingBytes = ({ windows = [], kvHeads, headDim }: Shape, kv: RowType, tokens: number, answer: number): number =>
  windows.reduce((sum, window) => sum + (window ? kvHeads * rowBytes(kv, headDim) * wholeTiles(tokens - leftBehind(tokens, window) + slidingRoom(answer)) : 0), 0)

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
  const sliding = slidingBytes(shape, kv, tokens, answer)
  const full = heldBytes(shape, kv, tokens + answer, 0) + sliding
  const cuts = policy.evicts && !planned.dense && planned.kept < tokens
  const { sums } = policy.decode
  const own = (): number => heldBytes(shape, kv, Math.min(planned.kept, tokens) + planned.reserve, planned.pageSize, sums) + sliding
  // One layer's whole prompt, where that is more than it keeps.
  const passing = heldBytes({ kvHeads: shape.kvHeads, headDim: shape.headDim, scale: 1, heads: shape.heads, layers: 1 }, kv, tokens, 0)
  const slides = shape.windows?.some(window => leftBehind(tokens, window) > 0) ? passing : 0
  // A cut while decoding makes the layer anew beside the old one.
  const again = policy.evicts && !planned.dense && tokens + answer > planned.kept && Array.from({ length: answer }, (_, i) => i + 1).some(policy.when)
    ? own() / shape.layers : 0
  if (!cuts) {
    const held = planned.dense ? full : heldBytes(shape, kv, tokens + answer, planned.pageSize, sums) + sliding
    return { method: policy.name, held, peak: again ? Math.max(held, own()) + Math.max(again, slides) : held + slides, full, planned }
  }
  if (policy.history) return { method: policy.name, held: full + own() - sliding, peak: full + own() - sliding + slides, full, planned }
  return { method: policy.name, held: own(), peak: own() + Math.max(passing, again), full, planned }
}
