import { createLayer, freeLayer, writeTable, type LayerOptions } from '../cache/layer.ts'
import type { RowType } from '../kernels/index.ts'
import { createWave, freeWave, type Network, type Precision } from './llama.ts'
import { logitsOf, prefill, shapeOf, type PrefillProgress } from './prefill.ts'

interface LogitsOptions {
  readonly ids: readonly number[]
  readonly kv: RowType
  readonly precision: Precision
  readonly signal?: AbortSignal
  readonly progress?: PrefillProgress
}

/** Logits [vocabulary] after the token in place `row` of a text; the next call writes over them. */
export type LogitsAt = (row: number) => Promise<Float32Array>

/**
 * Reads a text under full attention and lends `use` the logits after each of its tokens. Hidden states are all that is held meanwhile,
 * so two readings can be compared token by token, one within the other.
 */
export async function withLogits<T>(network: Network, { ids, kv, precision, ...watch }: LogitsOptions, use: (at: LogitsAt) => Promise<T>): Promise<T> {
  const { k, config, weights } = network
  const o: LayerOptions = { k, shape: shapeOf(network), kv }
  // One place for the rows of every layer: its host counts stay 0, so each layer begins at the first row.
  const layer = createLayer(o, { rows: Array.from({ length: config.kvHeads }, () => ids.length) })
  const results: T[] = []
  try {
    await prefill(network, precision, {
      ids, start: 0, kv, ...watch,
      receiver: {
        enter() {
          writeTable(o, layer)
          return layer
        },
        leave: async () => {},
      },
      async finish(stream) {
        const wave = createWave(k, config, weights, precision, 1)
        try {
          results.push(await use(async row => {
            await logitsOf(network, wave, stream, row)
            return k.view(wave.logits) as Float32Array
          }))
        } finally {
          freeWave(k, wave)
        }
      },
    })
  } finally {
    freeLayer(o, layer)
  }
  return results[0]!
}
