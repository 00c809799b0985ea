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

/** After `layer` only `tokens` of a prompt's tokens go on. */
export interface GoingOn { readonly layer: number; readonly tokens: number }

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

export interface Footprint {
  readonly method: string
  readonly held: number
  readonly peak: number
  readonly full: number
  /** Rows that decoding can read after prefill, per KV head: the mean over layers. */
  readonly kept: number
  readonly planned: Planned
}

/** Layers that get as many of a prompt's tokens. */
interface Part { readonly layers: number; readonly tokens: number }

const partsOf = (layers: number, tokens: number, propagate: GoingOn | undefined): Part[] => (propagate
  ? [{ layers: propagate.layer + 1, tokens }, { layers: layers - propagate.layer - 1, tokens: propagate.tokens }] : [{ layers, tokens }]).filter(part => part.layers)

/** Bytes a prompt will hold after prefill and at its peak, from lengths alone. */
export function footprint({ propagate, ...wanted }: Wanted & { readonly propagate?: GoingOn | undefined }): Footprint {
  const { policy, kv, shape, tokens, answer } = wanted
  const planned = planFor(wanted), { dense, kept, reserve } = planned
  const full = heldBytes(shape, kv, tokens + answer, 0)
  const pageSize = dense ? 0 : planned.pageSize, sums = !dense && policy.decode.sums
  const evicts = policy.evicts && !dense
  const parts = partsOf(shape.layers, tokens, propagate)
  const bytes = ({ layers }: Part, rows: number, pageSize = 0, sums = false): number => heldBytes({ ...shape, layers }, kv, rows, pageSize, sums)
  const own = (part: Part): number => bytes(part, kept + reserve, pageSize, sums)
  const cut = (part: Part): boolean => evicts && kept < part.tokens
  const sum = (of: (part: Part) => number): number => parts.reduce((total, part) => total + of(part), 0)
  const held = sum(part => cut(part) ? own(part) + (policy.history ? bytes(part, part.tokens + answer) : 0) : bytes(part, part.tokens + answer, pageSize, sums))
  // A cut while decoding makes the layer anew beside the old one.
  const again = evicts && tokens + answer > kept && Array.from({ length: answer }, (_, i) => i + 1).some(policy.when) ? own({ layers: 1, tokens }) : 0
  // One layer's rows as a prompt is read into them, where they are cut or packed from.
  const passing = isPacked(kv) || cut(parts[0]!) && !policy.history ? heldBytes({ ...shape, layers: 1 }, readType(kv), tokens, 0) : 0
  const settled = again && !cut(parts[0]!) ? Math.max(held, sum(own)) : held
  const mean = sum(part => part.layers * (cut(part) ? kept : part.tokens)) / shape.layers
  return { method: policy.name, held, peak: Math.max(held + passing, settled + again), full, kept: mean, planned }
}
