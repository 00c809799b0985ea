import { rowTypes } from '../kernels/index.ts'
import type { LayerCache } from '../cache/layer.ts'
import type { Shape } from '../cache/policy.ts'
import type { Config } from './config.ts'
import { begin, block, createStream, createWave, freeStream, freeWave, head, type Network, type Precision, type Stream, type Wave } from './llama.ts'

/** Tokens that go through a layer together. Wider batches gain nothing and their activations leave the cache. */
const tileTokens = 256

/** Where a prefill puts a layer's rows: given before the layer, told after it. */
export interface Receiver {
  enter(index: number): LayerCache
  leave(index: number): Promise<void>
}

/** Called after every tile: tokens of the prompt that the work done so far amounts to. */
export type PrefillProgress = (done: number, total: number) => void

export interface PrefillOptions {
  readonly ids: readonly number[]
  /** Position of the first id: tokens that came before. */
  readonly start: number
  readonly receiver: Receiver
  readonly kv: keyof typeof rowTypes
  readonly signal?: AbortSignal | undefined
  readonly progress?: PrefillProgress | undefined
  /** After the last layer, with the hidden states of all tokens. */
  readonly finish: (stream: Stream) => Promise<void>
}

/**
 * Reads a prompt layer by layer: all tokens through one layer, in tiles, before the next. So one layer's full keys and values are
 * the most that is ever held beside what the receiver keeps.
 */
export async function prefill(network: Network, precision: Precision, { ids, start, receiver, kv, signal, progress, finish }: PrefillOptions): Promise<void> {
  const { k, config, weights } = network
  const n = ids.length
  const stream = createStream(k, config, n)
  let wave: Wave | undefined
  try {
    wave = createWave(k, config, weights, precision, Math.min(tileTokens, n))
    k.upload(stream.ids, ids)
    await k.once({ tokens: n, position: start }, () => begin(network, stream))
    for (let index = 0; index < config.layers; index++) {
      const layer = receiver.enter(index)
      const program = k.record(() => recordLayer(network, wave!, stream, index, layer, kv))
      try {
        for (let row = 0; row < n; row += tileTokens) {
          const tokens = Math.min(tileTokens, n - row)
          await k.run(program, { tokens, position: start + row, row }, signal)
          progress?.(n * (index + (row + tokens) / n) / config.layers, n)
        }
      } finally {
        k.release(program)
      }
      await receiver.leave(index)
    }
    freeWave(k, wave)
    wave = undefined
    await finish(stream)
  } finally {
    if (wave) freeWave(k, wave)
    freeStream(k, stream)
  }
}

function recordLayer(network: Network, wave: Wave, stream: Stream, index: number, layer: LayerCache, kv: keyof typeof rowTypes): void {
  const { k, config: { heads, kvHeads, headDim, attentionScale: scale, attentionCap: cap, kinds } } = network
  const type = rowTypes[kv]
  block(network, index, wave, stream, ({ query, keys, values, out }) => {
    k.append({ segments: layer.table, keys, values, kvHeads, headDim, type })
    if (layer.ring) k.observe({ ring: layer.ring, query, heads, headDim, window: layer.ring.shape[0]! })
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
