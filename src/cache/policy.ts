import type { Kernels, RowType, Tensor } from '../kernels/index.ts'
import type { LayerCache } from './layer.ts'
import type { Planned } from './plan.ts'

/** What a model's attention looks like. scale multiplies query·key. */
export interface Shape {
  readonly layers: number
  readonly heads: number
  readonly kvHeads: number
  readonly headDim: number
  readonly scale: number
  /** Scores become cap × tanh(score / cap); 0 or left out: they stay. */
  readonly cap?: number
  /** Of each layer, the newest tokens that a query sees; 0 or left out: all. Such layers hold their window and stand outside budgets. */
  readonly windows?: readonly number[]
  /** Newest rows that methods which estimate scores from a few channels read besides, unless told otherwise; none if left out. */
  readonly recent?: number
}

/** What is asked of a method before a prompt is read. Counts of tokens. */
export interface Request {
  /** Prompt tokens T. */
  readonly tokens: number
  /** Expected answer tokens N. */
  readonly answer: number
  readonly budget: number
  readonly shape: Shape
}

/** A method's numbers for one prompt. */
export interface Plan {
  /** Rows per KV head right after prefill: the mean over heads and layers. */
  readonly kept: number
  /** The same of each layer, where layers differ; those that slide do not count. */
  readonly layers?: readonly number[]
  /** The KV heads of a layer share its rows by their scores: `kept` is their mean. */
  readonly shared?: boolean
  /** Rows read per decode step and KV head. */
  readonly read: number
  /** Tokens per page of the bounds; 0 where the method keeps none. */
  readonly pageSize: number
  /** Channels that page scoring reads; 0 where the method scores no pages. */
  readonly channels: number
  /** Rows for the answer, beside `kept`, that room is made for at first. */
  readonly reserve: number
}

/** Values per position, higher is better: tensor [sets, stride] f32, columns 0 … tokens − 1. sets: 1, kvHeads or heads. */
export interface Scores { readonly tensor: Tensor; readonly sets: number; readonly stride: number; readonly tokens: number }

/** Chosen rows, ascending: set s owns rows[s, 0 … counts[s] − 1] of rows [sets, capacity] u32. sets: 1, kvHeads or heads. */
export interface Rows { readonly rows: Tensor; readonly counts: Tensor; readonly sets: number; readonly capacity: number }

/** One layer of one sequence, as stages see it. Stages record operations; none of them moves a number by itself. */
export interface Layer {
  readonly index: number
  readonly shape: Shape
  /** Type of the layer's rows: those it is read into while a prompt is cut. */
  readonly kv: RowType
  readonly plan: Planned
  /** Rows that count, of the KV head that has most; all have as many but where heads shared rows before. */
  readonly tokens: number
  /** Tokens seen: the position that comes next. */
  readonly seen: number
  /** Queries of the observation window: at most `window` of the policy, fewer in a short turn. */
  readonly window: number
  readonly cache: LayerCache
  /** A place for numbers in between, shared by all layers under this name. */
  temporary(name: string, shape: readonly number[], type: Tensor['type']): Tensor
  /** What a stage carries from layer to layer of one compression. */
  readonly state: Map<string, unknown>
}

/** Compress while decoding? `step` tokens have been decoded; 0 is the end of prefill, where the prompt is always cut. */
export type When = (step: number) => boolean
/** What each row before the observation window is worth. */
export interface Score { readonly name: string; readonly window: number; record(k: Kernels, layer: Layer): Scores }
/** Smooths or groups scores. */
export type Pool = (k: Kernels, scores: Scores, layer: Layer) => Scores
/** Rows that each KV head keeps (of plan.shared: their mean); the mean over heads and layers is plan.kept. */
export type Allocate = (layer: Layer) => number[]
/** Which rows stay. counts: from `allocate`. scores: null where the method has no score. */
export type Select = (k: Kernels, scores: Scores | null, counts: readonly number[], layer: Layer) => Rows
/** Which held rows one decode step reads: null for all. query [heads, headDim] f32. */
export interface DecodeSelect {
  readonly name: string
  /** Keeps the sum of all values (SparQ). */
  readonly sums: boolean
  record(k: Kernels, query: Tensor, layer: Layer): Rows | null
  /** After attention over the chosen rows. out [heads, headDim] f32. */
  finish?(k: Kernels, out: Tensor, rows: Rows, layer: Layer): void
}

/** How held rows lie. Prompts are read into rows as `--kv` says, and stored as a layer is done. */
export interface Store { readonly name: string; readonly type: RowType }

/** What a method's budget counts: rows held per KV head, the bytes of so many i16 rows, rows read per step, the paper's traffic, or nothing (it finds its own). */
export type BudgetMeaning = 'held' | 'bytes' | 'read' | 'traffic' | 'none'
/** What a second question finds: everything, or what the first one left. */
export type SecondQuestion = 'everything' | 'what was kept'

/** A KV-cache method with its numbers chosen: a citation and the stages in which it differs from the full cache. No state. */
export interface Policy {
  readonly name: string
  readonly paper: string
  readonly parameters: Readonly<Record<string, number | string>>
  readonly budget: BudgetMeaning
  readonly second: SecondQuestion
  /** Holds fewer rows than were seen. */
  readonly evicts: boolean
  /** Holds the whole history beside the rows that decoding reads (RocketKV-MT). */
  readonly history: boolean
  /** auto: full attention where compression would not help; never: always the method itself. */
  readonly dense: 'auto' | 'never'
  plan(request: Request): Plan
  readonly when: When
  readonly score: Score | null
  readonly pool: Pool
  readonly allocate: Allocate
  readonly select: Select
  /** null: rows lie as `--kv` says. */
  readonly store: Store | null
  readonly decode: DecodeSelect
}
