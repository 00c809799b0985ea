import { integerLayout, layouts, type Activations, type Kernels, type Tensor } from '../kernels/index.ts'
import type { Config } from './config.ts'
import type { LayerWeights, Matrix, Weights } from './weights.ts'

/** fast: integer products of i16 activations; exact: f32 activations and weights. */
export type Precision = 'fast' | 'exact'

/** One batch's activations on their way through the network: at most `capacity` tokens. */
export interface Wave {
  readonly capacity: number
  readonly precision: Precision
  readonly input: Activations // [capacity, dim]
  readonly mixed: Activations // [capacity, heads · headDim]
  readonly gated: Activations // [capacity, hiddenDim]
  readonly query: Tensor // [capacity, heads, headDim]
  readonly keys: Tensor // [capacity, kvHeads, headDim]
  readonly values: Tensor // [capacity, kvHeads, headDim]
  readonly attention: Tensor // [capacity, heads, headDim]
  readonly gate: Tensor // [capacity, hiddenDim]
  readonly up: Tensor // [capacity, hiddenDim]
  readonly logits: Tensor // [vocabulary]
}

/** What is the same for all tokens of a prompt: hidden states and rotary angles by row. */
export interface Stream {
  readonly ids: Tensor // [rows] u32
  readonly hidden: Tensor // [rows, dim]
  readonly rope: Tensor // [rows, rotary / 2, 2]
}

/** Whether products with these matrices read codes or values. */
function wants(matrices: readonly Matrix[], precision: Precision): { values: boolean; codes: boolean } {
  const integers = matrices.map(m => precision === 'fast' && integerLayout(m.layout))
  return { values: integers.includes(false), codes: integers.includes(true) }
}

export function createWave(k: Kernels, config: Config, weights: Weights, precision: Precision, capacity: number): Wave {
  const { dim, hiddenDim, heads, kvHeads, headDim, vocabulary } = config
  const activations = (columns: number, matrices: Matrix[]): Activations => {
    const { values, codes } = wants(matrices, precision)
    return {
      values: values ? k.tensor([capacity, columns], 'f32') : null,
      codes: codes ? k.tensor([capacity, columns], 'i16') : null,
      blocks: codes ? k.tensor([capacity, columns / 32, 4], 'u32') : null,
    }
  }
  const { layers } = weights
  return {
    capacity, precision,
    input: activations(dim, [weights.output, ...layers.flatMap(l => [l.query, l.key, l.value, l.gate, l.up])]),
    mixed: activations(heads * headDim, layers.map(l => l.output)),
    gated: activations(hiddenDim, layers.map(l => l.down)),
    query: k.tensor([capacity, heads, headDim], 'f32'), keys: k.tensor([capacity, kvHeads, headDim], 'f32'), values: k.tensor([capacity, kvHeads, headDim], 'f32'),
    attention: k.tensor([capacity, heads, headDim], 'f32'), gate: k.tensor([capacity, hiddenDim], 'f32'), up: k.tensor([capacity, hiddenDim], 'f32'),
    logits: k.tensor([vocabulary], 'f32'),
  }
}

export function freeWave(k: Kernels, wave: Wave): void {
  for (const part of Object.values(wave)) {
    if (typeof part !== 'object') continue
    if ('address' in part) k.free(part)
    else k.free(part.values, part.codes, part.blocks)
  }
}

export function createStream(k: Kernels, config: Config, rows: number): Stream {
  return { ids: k.tensor([rows], 'u32'), hidden: k.tensor([rows, config.dim], 'f32'), rope: k.tensor([rows, config.rotary / 2, 2], 'f32') }
}

export function freeStream(k: Kernels, stream: Stream): void {
  k.free(stream.ids, stream.hidden, stream.rope)
}

/** Everything that `forward` needs to know and never changes. */
export interface Network {
  readonly k: Kernels
  readonly config: Config
  readonly weights: Weights
  /** Rotary frequencies [rotary / 2] f64. */
  readonly frequencies: Tensor
}

/** Stores a batch's keys and values and attends: the one thing in which prefill and decode, and methods, differ. */
export type Attend = (step: { readonly query: Tensor; readonly keys: Tensor; readonly values: Tensor; readonly out: Tensor }) => void

/** Records: hidden states of the batch's ids, and their rotary angles. */
export function begin({ k, config, weights, frequencies }: Network, stream: Stream): void {
  const { packed, layout, rows } = weights.embedding
  k.embed({ out: stream.hidden, ids: stream.ids, packed, layout: layouts[layout], rows, dim: config.dim, scale: 1 })
  k.ropeTable({ out: stream.rope, frequencies, rotary: config.rotary })
}

/** Records one transformer block over a batch, in place in stream.hidden. */
export function block({ k, config }: Network, layer: LayerWeights, wave: Wave, stream: Stream, attend: Attend): void {
  const { dim, hiddenDim, heads, kvHeads, headDim, rotary, epsilon } = config
  const { input, mixed, gated, query, keys, values, attention, gate, up } = wave
  const x = stream.hidden
  const halves = config.pairs === 'halves' ? 1 : 0

  // attention norm, then query, key, value of every token
  k.normalize({ ...input, x, weight: layer.attentionNorm, dim, epsilon })
  product(k, wave, query, input, layer.query)
  product(k, wave, keys, input, layer.key)
  product(k, wave, values, input, layer.value)

  // positions
  k.rope({ x: query, table: stream.rope, heads, headDim, rotary, halves })
  k.rope({ x: keys, table: stream.rope, heads: kvHeads, headDim, rotary, halves })

  // attention over what the cache holds, added to the residual
  attend({ query, keys, values, out: attention })
  k.quantize({ ...mixed, x: attention, dim: heads * headDim })
  product(k, wave, x, mixed, layer.output, true)

  // gated feed-forward, added to the residual
  k.normalize({ ...input, x, weight: layer.feedForwardNorm, dim, epsilon })
  product(k, wave, gate, input, layer.gate)
  product(k, wave, up, input, layer.up)
  k.gate({ ...gated, gate, up, dim: hiddenDim })
  product(k, wave, x, gated, layer.down, true)
}

/** Records the logits of the batch's first token. Run with one token. */
export function head({ k, config, weights }: Network, wave: Wave, stream: Stream): void {
  k.normalize({ ...wave.input, x: stream.hidden, weight: weights.norm, dim: config.dim, epsilon: config.epsilon })
  product(k, wave, wave.logits, wave.input, weights.output)
}

function product(k: Kernels, { precision }: Wave, out: Tensor, from: Activations, { packed, layout, rows, columns }: Matrix, residual = false): void {
  k.project({ out, ...from, packed, bias: null, layout: layouts[layout], rows, columns, residual: residual ? 1 : 0, exact: precision === 'exact' ? 1 : 0 })
}
