import { advanced, createLayer, forkLayer, freeLayer, type LayerCache, type LayerOptions } from '../cache/layer.ts'
import { readType, whole, type RowType } from '../kernels/index.ts'
import { createWave, freeWave, type Network, type Precision } from './llama.ts'
import { logitsOf, prefill, shapeOf, type PrefillProgress } from './prefill.ts'
import { createSequence, type Sequence, type SequenceOptions } from './sequence.ts'
import { fault } from '../cache/fault.ts'

/** Queries that a reading keeps, so that any method's window can be asked of it later. */
export const readingWindow = 128

interface Watch { readonly signal?: AbortSignal | undefined; readonly progress?: PrefillProgress | undefined }

/** A prompt that was read once under no method: every row of every layer. Ask it as often as wanted. */
export interface Reading {
  readonly ids: readonly number[]
  /** Tokens at the beginning of a prompt that need not be read again. */
  shares(ids: readonly number[]): number
  /** Reads what `ids` adds to the longest prefix they share with this reading. ids: the whole prompt. */
  ask(ids: readonly number[], watch?: Watch): Promise<Asked>
  free(): void
}

/** A reading and a question. Any method can answer it, as if it had read the whole prompt itself. */
export interface Asked {
  readonly ids: readonly number[]
  /** Tokens that the reading already had. */
  readonly shared: number
  answer(options: Omit<SequenceOptions, 'kv' | 'precision'>): Promise<Sequence>
  /** Its sequences under `full`, and those that select, read rows of it: free them first. */
  free(): void
}

interface ReadingOptions extends Watch { readonly ids: readonly number[]; readonly kv: RowType; readonly precision: Precision }

export async function createReading(network: Network, { ids, kv, precision, ...watch }: ReadingOptions): Promise<Reading> {
  const o: LayerOptions = { k: network.k, shape: shapeOf(network), kv: readType(kv) }
  const layers: LayerCache[] = []
  const free = (): void => layers.splice(0).forEach(layer => freeLayer(o, layer))
  try {
    await prefill(network, precision, {
      ids, start: 0, ...watch, finish: async () => {},
      receiver: {
        enter: index => layers[index] = createLayer(o, { rows: Array.from({ length: o.shape.kvHeads }, () => ids.length), ring: readingWindow }),
        leave: async index => advanced(layers[index]!, ids.length),
      },
    })
  } catch (error) {
    free()
    throw error
  }
  return { ids, free, shares: asked => sharedTokens(ids, asked), ask: (asked, watch = {}) => ask(network, o, { layers, ids, kv, precision }, asked, watch) }
}

/** How much of a prompt a reading has; its last token is always read, since an answer begins after it. */
function sharedTokens(known: readonly number[], ids: readonly number[]): number {
  // Queries of the reading's last tokens stand in for earlier ones only where the prompt is at least as long.
  if (ids.length < known.length) return 0
  let shared = 0
  while (shared < Math.min(known.length, ids.length - 1) && known[shared] === ids[shared]) shared++
  return shared
}

/** kv: what a sequence holds; the rows of the reading itself are as they were read. */
interface Read { readonly layers: readonly LayerCache[]; readonly ids: readonly number[]; readonly kv: RowType; readonly precision: Precision }

async function ask(network: Network, o: LayerOptions, { layers: read, ids: known, kv, precision }: Read, ids: readonly number[], watch: Watch): Promise<Asked> {
  if (!ids.length) throw fault('usage', 'a prompt must have at least one token, got none')
  const shared = sharedTokens(known, ids)
  const { k } = o
  const fresh = ids.slice(shared)
  const layers: LayerCache[] = []
  const logits = k.tensor([network.config.vocabulary], 'f32')
  let freed = false
  const free = (): void => {
    if (freed) return
    freed = true
    layers.splice(0).forEach(layer => freeLayer(o, layer))
    k.free(logits)
  }
  try {
    await prefill(network, precision, {
      ids: fresh, start: shared, ...watch,
      receiver: {
        enter: index => layers[index] = forkLayer(o, read[index]!, fresh.length, shared),
        leave: async index => advanced(layers[index]!, fresh.length),
      },
      async finish(stream) {
        const wave = whole(k, k => createWave(k, network.config, network.weights, precision, 1))
        try {
          await logitsOf(network, wave, stream, fresh.length - 1)
          k.copy(logits, 0, wave.logits, 0, logits.bytes)
        } finally {
          freeWave(k, wave)
        }
      },
    })
  } catch (error) {
    free()
    throw error
  }
  return {
    ids, shared, free,
    async answer(options) {
      const window = Math.min(options.policy.score?.window ?? 0, ids.length)
      if (window > readingWindow)
        throw fault('usage', `window must be at most the ${readingWindow} queries that a reading remembers, got ${window}`)
      const sequence = createSequence(network, { ...options, kv, precision })
      try {
        await sequence.adopt(layers, logits)
      } catch (error) {
        sequence.free()
        throw error
      }
      return sequence
    },
  }
}
