import { footprint, heldBytes, seeingAll, type Footprint, type Planned } from '../cache/plan.ts'
import type { Policy } from '../cache/policy.ts'
import { scratchBytes } from '../kernels/scratch.ts'
import { chunkRows, integerLayout, partialShape, tileRows, wholeTiles, type Layout, type RowType } from '../kernels/index.ts'
import type { Config } from './config.ts'
import type { Precision } from './llama.ts'
import { shapeFor, tileTokens } from './prefill.ts'
import { goingOn, type Propagation } from './propagate.ts'
import { penaltyWindow } from './sample.ts'

export interface MemoryRequest {
  readonly policy: Policy
  readonly budget: number
  readonly tokens: number
  readonly answer: number
  readonly kv: RowType
  readonly precision?: Precision
  /** Layouts that the weights have. */
  readonly layouts: Iterable<Layout>
  /** Bytes of the packed weights, and of the gap that loading them leaves. */
  readonly weights: number
  readonly gap: number
  readonly threads?: number
  readonly propagate?: Propagation | undefined
  /** Tokens at the beginning that a reading has, with all their rows; they are in memory already. */
  readonly reading?: { readonly shared: number; readonly window: number } | undefined
}

/** All memory a prompt takes, in bytes, from lengths alone. */
export interface MemoryPlan {
  readonly weights: number
  /** Rows kept for decoding, and page bounds. */
  readonly cache: number
  /** One layer's rows while it is read, or all rows that are there until the prompt is cut. */
  readonly passing: number
  /** Hidden states of the whole prompt. */
  readonly hidden: number
  /** Ids and rotary angles of the whole prompt. */
  readonly angles: number
  /** What one tile of tokens leaves between two products, the logits, and what a step attends with beside the rows. */
  readonly activations: number
  /** What choosing the rows that stay takes. */
  readonly scores: number
  /** What single operations want while they run. */
  readonly scratch: number
  /** The place a file was loaded through, and what memory grows ahead. */
  readonly slack: number
  /** After the prompt was read, and at most. Memory never shrinks: what is not held is free for the next prompt. */
  readonly held: number
  readonly peak: number
  readonly footprint: Footprint
}

/** Memory grows by so much more than is asked for: a step of src/kernels/arena.ts, and the rest of a wasm page. */
const growth = (1 << 20) + 65536

/** Bytes of the activations of `capacity` tokens: see `Wave`. */
function waveBytes({ dim, hiddenDim, heads, kvHeads, headDim, vocabulary, norms, residualScale }: Config, capacity: number, layouts: Iterable<Layout>, precision: Precision): number {
  const integers = [...layouts].map(layout => precision === 'fast' && integerLayout(layout))
  const number = (integers.includes(false) ? 4 : 0) + (integers.includes(true) ? 2.5 : 0)
  const added = norms !== 'before' || residualScale !== 1 ? 4 * dim : 0
  return capacity * (added + number * (dim + heads * headDim + hiddenDim) + 4 * (2 * (heads + kvHeads) * headDim + 2 * hiddenDim)) + 4 * vocabulary
}

/** Bytes of what a step attends with beside the rows: scores of pages or tokens, weights and a list where it chooses rows; else chunks where there are several. */
function stepBytes({ heads, kvHeads, headDim }: Config, { dense, kept, reserve, read, pageSize }: Planned): number {
  const rows = wholeTiles(kept + reserve)
  if (dense || read >= kept + reserve) return rows > chunkRows ? 4 * partialShape(rows, heads, headDim).reduce((a, b) => a * b, 1) : 0
  return 4 * ((heads + kvHeads) * Math.ceil(rows / Math.max(1, pageSize)) + heads * Math.min(rows, read + pageSize))
}

export function memoryPlan(config: Config, request: MemoryRequest): MemoryPlan {
  const { policy, kv, tokens, answer, budget, weights, gap, layouts, precision = 'fast', threads = 1, reading } = request
  const { dim, rotary, ropes, heads, kvHeads, headDim, vocabulary } = config
  const shape = shapeFor(config), wanted = policy.score?.window ?? 0
  const propagate = request.propagate && goingOn(request.propagate, shape, tokens, wanted)
  const told = footprint({ policy, kv, shape, tokens, answer, budget, propagate })
  const fresh = tokens - (reading?.shared ?? 0)
  const rings = (window: number): number => 4 * window * heads * headDim * config.layers
  const { kept, dense } = told.planned
  const cuts = policy.evicts && !dense && kept < tokens
  let cache = told.held + rings(wanted), passing = told.peak - told.held
  if (cuts && !policy.history) passing += rings(wanted) / config.layers
  if (reading) {
    // A question's rows lie beside the reading's whole tiles; what reads all rows shares those, and has the rest of its own.
    const whole = Math.floor(reading.shared / tileRows) * tileRows
    passing = heldBytes(shape, kv, tokens - whole, 0) + rings(reading.window)
    if (!cuts || policy.history) cache += rings(reading.window) - heldBytes(seeingAll(shape), kv, whole, 0)
  }
  const hidden = 4 * fresh * dim, angles = 4 * fresh * (1 + ropes.length * rotary)
  const one = waveBytes(config, 1, layouts, precision) + 4 * (1 + ropes.length * rotary + dim + penaltyWindow) + stepBytes(config, told.planned)
  const tile = waveBytes(config, Math.min(tileTokens, fresh), layouts, precision)
  // Scores before and after they are pooled, and a list of rows: a set per KV head.
  const cutting = cuts && policy.score ? 4 * kvHeads * (2 * tokens + Math.min(kept, tokens)) : 0
  const choosing = propagate ? 4 * (2 * kvHeads * tokens + 2 * tokens + heads * headDim * request.propagate!.window) : 0
  const scores = Math.max(cutting, choosing)
  const operations = [
    scratchBytes('project', {}), scratchBytes('attend', { heads, kvHeads, headDim }), scratchBytes('normalize', { dim }), scratchBytes('gate', { dim: config.hiddenDim }),
    scratchBytes('sample', { n: vocabulary }), ...scores ? [scratchBytes('scoreWindow', { headDim, tokens }), scratchBytes('pool', { tokens, kernel: 63 }), scratchBytes('topk', { tokens })] : [],
  ]
  const scratch = Math.max(...operations) * threads
  const slack = growth + gap
  const held = weights + cache + one + scratch + slack
  return { weights, cache, passing, hidden, angles, activations: one + tile, scores, scratch, slack, held,
    peak: held + passing + hidden + angles + tile + scores, footprint: told }
}
