import { rowTypes, whole, type Tensor } from '../kernels/index.ts'
import { tokensGoingOn, type Propagation } from './propagate.ts'
import type { GoingOn } from '../cache/plan.ts'
import type { LayerCache } from '../cache/layer.ts'
import type { Shape } from '../cache/policy.ts'
import type { Config } from './config.ts'
import { begin, block, createStream, createWave, freeStream, freeWave, head, type Network, type Precision, type Stream, type Wave } from './llama.ts'

/** Tokens that go through a layer together. Wider batches gain nothing and their activations leave the cache. */
export const tileTokens = 256

/** Where a prefill puts a layer's rows: given before the layer, told after it. rows: of this prompt, in this layer. */
export interface Receiver {
  enter(index: number, rows: number): LayerCache
  leave(index: number, rows: number): Promise<void>
}

/** Called after every tile: tokens of the prompt that the work done so far amounts to. */
export type PrefillProgress = (done: number, total: number) => void

export interface PrefillOptions {
  readonly ids: readonly number[]
  /** Position of the first id: tokens that came before. */
  readonly start: number
  readonly receiver: Receiver
  readonly signal?: AbortSignal | undefined
  readonly progress?: PrefillProgress | undefined
  /** All tokens go through all layers unless given. last: newest tokens that a method wants to find in every layer. */
  readonly propagate?: { readonly by: Propagation; readonly to: GoingOn; readonly last: number } | undefined
  /** After the last layer, with the hidden states of all tokens that went through it; the last is row `rows` − 1. */
  readonly finish: (stream: Stream, rows: number) => Promise<void>
}

/**
 * Reads a prompt layer by layer: all tokens through one layer, in tiles, before the next. So one layer's full keys and values are
 * the most that is ever held beside what the receiver keeps.
 */
export async function prefill(network: Network, precision: Precision, { ids, start, receiver, signal, progress, propagate, finish }: PrefillOptions): Promise<void> {
  const { k, config, weights } = network
  const n = ids.length, end = start + n
  const stream = whole(k, k => createStream(k, config, n))
  let wave: Wave | undefined
  let positions: Tensor | null = null
  let ring: Tensor | null = null
  /** Tokens that go through this layer, at the first rows of the stream. */
  let rows = n
  try {
    wave = whole(k, k => createWave(k, config, weights, precision, Math.min(tileTokens, n)))
    k.upload(stream.ids, ids)
    await k.once({ tokens: n, position: start }, () => begin(network, stream))
    for (let index = 0; index < config.layers; index++) {
      const layer = receiver.enter(index, rows)
      ring = propagate?.to.layer === index ? k.tensor([propagate.by.window, config.heads, config.headDim], 'f32') : null
      const program = k.record(() => recordLayer(network, wave!, stream, index, { layer, positions, ring }))
      try {
        for (let row = 0; row < rows; row += tileTokens) {
          const tokens = Math.min(tileTokens, rows - row)
          // Of the tokens that went on the newest are contiguous: rings, which ask for positions, hold no others in the end.
          await k.run(program, { tokens, position: end - rows + row, row }, signal)
          progress?.(n * (index + (row + tokens) / rows) / config.layers, n)
        }
      } finally {
        k.release(program)
      }
      let next: number[] | null = null
      if (propagate && ring) {
        next = await tokensGoingOn(k, { propagation: propagate.by, shape: shapeOf(network), kv: layer.type, layer, ring, tokens: n, keep: propagate.to.tokens, last: propagate.last, seen: end })
        k.free(ring)
        ring = null
      }
      await receiver.leave(index, rows)
      if (!next) continue
      positions = await narrow(network, stream, next, start)
      rows = next.length
    }
    freeWave(k, wave)
    wave = undefined
    await finish(stream, rows)
  } finally {
    if (wave) freeWave(k, wave)
    k.free(positions, ring)
    freeStream(k, stream)
  }
}

/** Hidden states and angles of the tokens listed move to the stream's first rows. Their positions [listed] u32. */
async function narrow({ k, config }: Network, { hidden, ropes }: Stream, tokens: readonly number[], start: number): Promise<Tensor> {
  const positions = k.tensor([tokens.length], 'u32')
  try {
    k.upload(positions, tokens)
    await k.once({ tokens: 0, position: 0 }, () => {
      k.gatherRows({ x: hidden, rows: positions, count: tokens.length, width: config.dim })
      for (const rope of ropes) k.gatherRows({ x: rope, rows: positions, count: tokens.length, width: config.rotary })
    })
    k.upload(positions, tokens.map(token => start + token))
    return positions
  } catch (error) {
    k.free(positions)
    throw error
  }
}

interface Recorded { readonly layer: LayerCache; readonly positions: Tensor | null; readonly ring: Tensor | null }

function recordLayer(network: Network, wave: Wave, stream: Stream, index: number, { layer, positions, ring }: Recorded): void {
  const { k, config: { heads, kvHeads, headDim, attentionScale: scale, attentionCap: cap, kinds } } = network
  const type = rowTypes[layer.type]
  block(network, index, wave, stream, ({ query, keys, values, out }) => {
    k.append({ segments: layer.table, keys, values, kvHeads, headDim, type })
    if (positions) k.reposition({ segments: layer.table, positions, kvHeads, headDim, type })
    for (const to of [layer.ring, ring]) if (to) k.observe({ ring: to, query, heads, headDim, window: to.shape[0]! })
    k.attend({ out, query, segments: layer.table, rows: null, counts: null, sets: kvHeads, capacity: 0, heads, kvHeads, headDim, type, scale, partials: null,
      cap, window: kinds[index]!.window, before: layer.dropped })
  })
  k.advance({ segments: layer.table, kvHeads })
}

/** Newest rows that are read whatever estimates say of them, where queries and keys are normalised. */
const normedRecent = 64

/** The attention of a network as the cache sees it, from its configuration alone. */
export const shapeFor = ({ layers, heads, kvHeads, headDim, attentionScale, attentionCap, qkNorm, kinds }: Config): Shape =>
  ({ layers, heads, kvHeads, headDim, scale: attentionScale, cap: attentionCap, windows: kinds.map(({ window }) => window), recent: qkNorm === 'none' ? 0 : normedRecent })

export const shapeOf = ({ config }: Network): Shape => shapeFor(config)

/** Runs the head over the row `row` of a prompt: its logits are then in wave.logits. */
export async function logitsOf(network: Network, wave: Wave, stream: Stream, row: number): Promise<void> {
  await network.k.once({ tokens: 1, position: 0, row }, () => head(network, wave, stream))
}
