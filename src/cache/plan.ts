import { boundBytes, isPacked, readType, tileRows, roomBytes, roomFor, type RowType } from '../kernels/index.ts'
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
  /** How rows are held. */
  readonly kv: RowType
}

/** Rows per KV head that a layer keeps: the mean over its heads. */
export const keptAt = ({ kept, layers }: Plan, layer: number): number => layers?.[layer] ?? kept

/** Longest answer that the planner counts on; longer ones grow the cache. */
export const expectedAnswer = (maxTokens: number): number => Math.min(maxTokens, 256)

/** Bytes of the rows (and page bounds, and sums of values) that one sequence holds when each KV head holds `rows`. */
export function heldBytes(shape: Shape, kv: RowType, rows: number, pageSize: number, sums = false): number {
  const bounds = pageSize ? boundBytes(kv, shape.headDim, pageSize, Math.ceil(roomFor(kv, rows) / pageSize)) : 0
  return shape.layers * shape.kvHeads * (roomBytes(kv, shape.headDim, rows) + bounds + (sums ? 4 * shape.headDim : 0))
}

/** The layers that do not slide. */
export const seeingAll = (shape: Shape): Shape => ({ ...shape, layers: shape.layers - (shape.windows ?? []).filter(window => window > 0).length })

/** Bytes of the layers that slide, after a prompt. */
const slidingBytes = ({ windows = [], kvHeads, headDim }: Shape, kv: RowType, tokens: number, answer: number): number =>
  windows.reduce((sum, window) => sum + (window ? kvHeads * roomBytes(readType(kv), headDim, tokens - leftBehind(tokens, window) + slidingRoom(answer)) : 0), 0)

/** Bytes of a full cache. */
export const fullBytes = (shape: Shape, kv: RowType, tokens: number, answer: number): number =>
  heldBytes(seeingAll(shape), kv, tokens + answer, 0) + slidingBytes(shape, kv, tokens, answer)

interface Wanted extends Request { readonly policy: Policy; readonly kv: RowType }

/** How rows are held, and in how many bytes: as the method stores them where that takes no more than what `kv` says. */
function holding({ store, dense }: Policy, kv: RowType, bytesOf: (type: RowType) => number): { readonly kv: RowType; readonly bytes: number } {
  const stored = { kv: store?.type ?? kv, bytes: bytesOf(store?.type ?? kv) }, plain = { kv, bytes: bytesOf(kv) }
  return dense === 'never' || stored.bytes <= plain.bytes ? stored : plain
}

/** After `layer` only `tokens` of a prompt's tokens go on. */
export interface GoingOn { readonly layer: number; readonly tokens: number }

/** Rows that the layers which do not slide keep, one after the other. */
function keptPerLayer({ layers, windows = [] }: Shape, plan: Plan): number[] {
  return Array.from({ length: layers }, (_, at) => at).filter(at => !windows[at]).map(at => keptAt(plan, at))
}

/** Rows that each KV head of a layer that was cut from `tokens` to `kept` makes room for; at most, where heads share: each may fill one tile more. */
const ownRows = ({ shared = false, reserve }: Plan, kept: number, tokens: number): number => Math.min(tokens, kept + (shared ? tileRows - 1 : 0)) + reserve

/** Plans, and falls back to full attention where the method would hold or read as much (design: a method that evicts never holds more than `full`). */
export function planFor({ policy, kv, ...request }: Wanted): Planned {
  const { tokens, answer, budget, shape } = request
  if (!Number.isInteger(budget) || budget < 1) throw fault('usage', `budget must be a whole number of tokens from 1 on, got ${budget}`)
  const layers = seeingAll(shape)
  const all = holding(policy, kv, type => heldBytes(layers, type, tokens + answer, 0))
  const base = { tokens, answer, budget }
  const dense = (reason: string): Planned => ({ kept: tokens, read: tokens + answer, pageSize: 0, channels: 0, reserve: answer, ...base, kv: all.kv, dense: true, fellBack: policy.budget !== 'none' || policy.evicts, reason })
  if (policy.budget === 'none' && !policy.evicts) return dense('it keeps and reads everything')
  if (policy.dense === 'never') return { ...policy.plan(request), ...base, kv: policy.store?.type ?? kv, dense: false, fellBack: false, reason: '' }
  if (policy.budget !== 'none' && tokens + answer <= budget) return dense(`prompt and answer (${tokens} + ${answer} tokens) fit the budget of ${budget}`)
  const plan = policy.plan(request)
  if (plan.read >= tokens + answer) return dense(`it would read every one of ${tokens} + ${answer} rows`)
  const own = holding(policy, kv, type => keptPerLayer(shape, plan).reduce((sum, kept) =>
    sum + heldBytes({ ...shape, layers: 1 }, type, ownRows(plan, kept, tokens), plan.pageSize, policy.decode.sums), 0))
  if (policy.evicts && !policy.history && own.bytes > all.bytes) return dense(`it would hold ${own.bytes} bytes, more than the full cache's ${all.bytes}`)
  return { ...plan, ...base, kv: own.kv, dense: false, fellBack: false, reason: '' }
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

/** A layer that does not slide: the prompt's tokens that it gets, the rows it keeps of them. */
interface Part { readonly tokens: number; readonly kept: number }

/** Bytes a prompt will hold after prefill and at its peak, from lengths alone; where KV heads share rows, at most so many. */
export function footprint({ propagate, ...wanted }: Wanted & { readonly propagate?: GoingOn | undefined }): Footprint {
  const { policy, kv, shape, tokens, answer } = wanted
  const planned = planFor(wanted), { dense } = planned
  const full = fullBytes(shape, kv, tokens, answer), sliding = slidingBytes(shape, kv, tokens, answer), { windows = [] } = shape
  const pageSize = dense ? 0 : planned.pageSize, sums = !dense && policy.decode.sums
  const evicts = policy.evicts && !dense
  const parts: Part[] = keptPerLayer(shape, planned).map((kept, at) => ({ kept, tokens: propagate && at > propagate.layer ? propagate.tokens : tokens }))
  const bytes = (rows: number, pageSize = 0, sums = false): number => heldBytes({ ...shape, layers: 1 }, planned.kv, rows, pageSize, sums)
  const own = (part: Part, of = tokens): number => bytes(ownRows(planned, part.kept, of), pageSize, sums)
  const cut = (part: Part): boolean => evicts && part.kept < part.tokens
  const sum = (of: (part: Part) => number): number => parts.reduce((total, part) => total + of(part), 0)
  const held = sliding + sum(part => cut(part) ? own(part) + (policy.history ? bytes(part.tokens + answer) : 0) : bytes(part.tokens + answer, pageSize, sums))
  // A cut while decoding makes the layer anew beside the old one.
  const most = parts.reduce((a, b) => b.kept > a.kept ? b : a, parts[0] ?? { kept: 0, tokens: 0 })
  const again = evicts && parts.some(part => tokens + answer > part.kept) && Array.from({ length: answer }, (_, i) => i + 1).some(policy.when) ? own(most, tokens + answer) : 0
  // One layer's rows as a prompt is read into them, where they are cut or packed from.
  const passes = isPacked(planned.kv) || parts.some(cut) && !policy.history || windows.some(window => leftBehind(tokens, window))
  const passing = passes ? heldBytes({ ...shape, layers: 1 }, readType(kv), tokens, 0) : 0
  const settled = again && !parts.some(cut) ? Math.max(held, sliding + sum(part => own(part, tokens + answer))) : held
  const inWindows = windows.reduce((rows, window) => rows + (window ? tokens - leftBehind(tokens, window) : 0), 0)
  const mean = (inWindows + sum(part => cut(part) ? part.kept : part.tokens)) / shape.layers
  return { method: policy.name, held, peak: Math.max(held + passing, settled + again), full, kept: mean, planned }
}
