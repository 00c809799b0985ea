import { createLayer, freeLayer, writeTable, type LayerOptions } from '../cache/layer.ts'
import { whole } from '../kernels/index.ts'
import { createWave, freeWave, head, type Network, type Precision, type Stream } from './llama.ts'
import { prefill, shapeOf, type PrefillProgress } from './prefill.ts'

/** Tokens whose logits are made at once: a product's weights are then read from memory an eighth as often. */
const batch = 8

interface LogitsOptions {
  readonly ids: readonly number[]
  readonly kv: 'f32' | 'i16'
  readonly precision: Precision
  readonly signal?: AbortSignal
  readonly progress?: PrefillProgress
}

/** Logits [vocabulary] after the token in place `row` of a text. Ascending places are cheapest. */
export type LogitsAt = (row: number) => Promise<Float32Array>

/**
 * Reads a text under full attention and lends `use` the logits after each of its tokens. Hidden states are all that is held meanwhile,
 * so two readings can be compared token by token, one within the other.
 */
export async function withLogits<T>(network: Network, { ids, kv, precision, ...watch }: LogitsOptions, use: (at: LogitsAt) => Promise<T>): Promise<T> {
  const { k, config } = network
  const o: LayerOptions = { k, shape: shapeOf(network), kv }
  // One place for the rows of every layer: its host counts stay 0, so each layer begins at the first row.
  const layer = createLayer(o, { rows: Array.from({ length: config.kvHeads }, () => ids.length) })
  const results: T[] = []
  try {
    await prefill(network, precision, {
      ids, start: 0, ...watch,
      receiver: {
        enter() {
          writeTable(o, layer)
          return layer
        },
        leave: async () => {},
      },
      async finish(stream) { results.push(await lend(network, precision, stream, ids.length, use)) },
    })
  } finally {
    freeLayer(o, layer)
  }
  return results[0]!
}

async function lend<T>(network: Network, precision: Precision, stream: Stream, tokens: number, use: (at: LogitsAt) => Promise<T>): Promise<T> {
  const { k, config, weights } = network
  const { wave, logits } = whole(k, k => ({ wave: createWave(k, config, weights, precision, batch), logits: k.tensor([batch, config.vocabulary], 'f32') }))
  const program = k.record(() => head(network, { ...wave, logits }, stream))
  let first = -batch
  try {
    return await use(async row => {
      if (!(Number.isInteger(row) && row >= 0 && row < tokens)) throw new RangeError(`row must be one of the ${tokens} tokens, got ${row}`)
      if (row < first || row >= first + batch) {
        first = row - row % batch
        await k.run(program, { tokens: Math.min(batch, tokens - first), position: 0, row: first })
      }
      return await k.read(logits, (row - first) * config.vocabulary, config.vocabulary) as Float32Array
    })
  } finally {
    k.release(program)
    freeWave(k, wave)
    k.free(logits)
  }
}
