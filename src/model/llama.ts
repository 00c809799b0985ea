import { integerLayout, layouts, type Activations, type Kernels, type Tensor } from '../kernels/index.ts'
import type { Config } from './config.ts'
import type { Matrix, Weights } from './weights.ts'

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
  /** What a block adds to the residual, where it is normalised or scaled before. */
  readonly added: Tensor | null // [capacity, dim]
  readonly logits: Tensor // [vocabulary]
}

/** What is the same for all tokens of a prompt: hidden states and rotary angles by row. */
export interface Stream {
  readonly ids: Tensor // [rows] u32
  readonly hidden: Tensor // [rows, dim]
  /** One for each rope of the configuration. */
  readonly ropes: readonly Tensor[] // [rows, rotary / 2, 2]
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
    added: config.norms !== 'before' || config.residualScale !== 1 ? k.tensor([capacity, dim], 'f32') : null,
    logits: k.tensor([vocabulary], 'f32'),
  }
}

export function freeWave(k: Kernels, wave: Wave): void {
  for (const part of Object.values(wave)) {
    if (typeof part !== 'object' || !part) continue
    if ('address' in part) k.free(part)
    else k.free(part.values, part.codes, part.blocks)
  }
}

export function createStream(k: Kernels, config: Config, rows: number): Stream {
  return {
    ids: k.tensor([rows], 'u32'), hidden: k.tensor([rows, config.dim], 'f32'),
    ropes: config.ropes.map(() => k.tensor([rows, config.rotary / 2, 2], 'f32')),
  }
}

export function freeStream(k: Kernels, stream: Stream): void {
  k.free(stream.ids, stream.hidden, ...stream.ropes)
}

/** Everything that `forward` needs to know and never changes. */
export interface Network {
  readonly k: Kernels
  readonly config: Config
  readonly weights: Weights
  /** Rotary frequencies of each rope of the configuration, [rotary / 2] f64. */
  readonly frequencies: readonly Tensor[]
}

/** A network of weights that were loaded into these kernels. */
export async function createNetwork(k: Kernels, config: Config, weights: Weights): Promise<Network> {
  const frequencies = config.ropes.map(() => k.tensor([config.rotary / 2], 'f64'))
  await k.once({ tokens: 0, position: 0 }, () => config.ropes.forEach(({ base }, i) =>
    k.ropeFrequencies({ out: frequencies[i]!, factors: weights.ropeFactors[i]!, rotary: config.rotary, base })))
  return { k, config, weights, frequencies }
}

/** Stores a batch's keys and values and attends: the one thing in which prefill and decode, and methods, differ. */
export type Attend = (step: { readonly query: Tensor; readonly keys: Tensor; readonly values: Tensor; readonly out: Tensor }) => void

/** Records: hidden states of the batch's ids, and their rotary angles. */
export function begin({ k, config, weights, frequencies }: Network, stream: Stream): void {
  const { packed, layout, rows } = weights.embedding
  k.embed({ out: stream.hidden, ids: stream.ids, packed, layout: layouts[layout], rows, dim: config.dim, scale: config.embeddingScale })
  config.ropes.forEach(({ magnitude }, i) =>
    k.ropeTable({ out: stream.ropes[i]!, frequencies: frequencies[i]!, rotary: config.rotary, magnitude }))
}

/** Records transformer block `index` over a batch, in place in stream.hidden. */
export function block(network: Network, index: number, wave: Wave, stream: Stream, attend: Attend): void {
  const { k, config, weights } = network
  const { hiddenDim, heads, kvHeads, headDim, rotary, epsilon } = config
  const { input, mixed, gated, query, keys, values, attention, gate, up } = wave
  const layer = weights.layers[index]!, { rope } = config.kinds[index]!

  // attention norm, then query, key, value of every token
  enter(network, wave, stream, layer.attentionNorm)
  product(k, wave, query, input, layer.query)
  product(k, wave, keys, input, layer.key)
  product(k, wave, values, input, layer.value)

  // norms of queries and keys
  const whole = config.qkNorm === 'width'
  if (layer.queryNorm) k.normalizeHeads({ x: query, weight: layer.queryNorm, heads: whole ? 1 : heads, headDim: whole ? heads * headDim : headDim, epsilon })
  if (layer.keyNorm) k.normalizeHeads({ x: keys, weight: layer.keyNorm, heads: whole ? 1 : kvHeads, headDim: whole ? kvHeads * headDim : headDim, epsilon })

  // positions
  if (rope !== null) {
    const table = stream.ropes[rope]!, halves = config.pairs === 'halves' ? 1 : 0
    k.rope({ x: query, table, heads, headDim, rotary, halves })
    k.rope({ x: keys, table, heads: kvHeads, headDim, rotary, halves })
  }

  // attention over what the cache holds, added to the residual
  attend({ query, keys, values, out: attention })
  k.quantize({ ...mixed, x: attention, dim: heads * headDim })
  leave(network, wave, stream, mixed, layer.output, layer.attentionOutputNorm)

  // gated feed-forward, added to the residual
  enter(network, wave, stream, layer.feedForwardNorm)
  product(k, wave, gate, input, layer.gate)
  product(k, wave, up, input, layer.up)
  k.gate({ ...gated, gate, up, dim: hiddenDim, gelu: config.activation === 'gelu' ? 1 : 0 })
  leave(network, wave, stream, gated, layer.down, layer.feedForwardOutputNorm)
}

/** The residual as products read it, normalised where the architecture does so before. */
function enter({ k, config: { dim, epsilon } }: Network, { input }: Wave, { hidden }: Stream, norm: Tensor | null): void {
  if (norm) k.normalize({ ...input, x: hidden, weight: norm, dim, epsilon })
  else k.quantize({ ...input, x: hidden, dim, residual: 1 })
}

/** Adds a product to the residual, normalised or scaled where the architecture does so after. */
function leave({ k, config: { dim, epsilon, residualScale } }: Network, wave: Wave, { hidden }: Stream, from: Activations, matrix: Matrix, norm: Tensor | null): void {
  product(k, wave, wave.added ?? hidden, from, matrix, !wave.added)
  if (wave.added) k.join({ out: hidden, x: wave.added, weight: norm, dim, epsilon, scale: residualScale })
}

/** Records the logits of the batch's tokens: one, where they are the wave's own [vocabulary]. */
export function head({ k, config, weights }: Network, wave: Wave, stream: Stream): void {
  const { dim, epsilon, vocabulary, logitScale, logitCap } = config
  k.normalize({ ...wave.input, x: stream.hidden, weight: weights.norm, dim, epsilon })
  product(k, wave, wave.logits, wave.input, weights.output)
  if (logitScale !== 1 || logitCap) k.softcap({ x: wave.logits, n: vocabulary, scale: logitScale, cap: logitCap })
}

function product(k: Kernels, { precision }: Wave, out: Tensor, from: Activations, { packed, layout, rows, columns, bias }: Matrix, residual = false): void {
  k.project({ out, ...from, packed, bias, layout: layouts[layout], rows, columns, residual: residual ? 1 : 0, exact: precision === 'exact' ? 1 : 0 })
}
