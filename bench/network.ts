import { advanced, createLayer, freeLayer, type LayerCache, type LayerOptions } from '../src/cache/layer.ts'
import { openSource, readHeader } from '../src/gguf/index.ts'
import { rowTypes, type Kernels, type RowType } from '../src/kernels/index.ts'
import { readConfig } from '../src/model/config.ts'
import { createNetwork, type Network } from '../src/model/llama.ts'
import { shapeOf } from '../src/model/prefill.ts'
import { loadWeights } from '../src/model/weights.ts'
import { normal } from '../test/cases.ts'
import { smollm, tiny } from '../test/models.ts'

/** The 135M model where it lies at hand, else the embedded one. */
export const modelPath = smollm ?? tiny
export const modelName = smollm ? 'SmolLM2-135M-Instruct.Q4_1' : 'tiny-retrieval: the 135M model is in neither $POCKETKV_MODELS nor ../shared/models'

/** A file's network on the given kernels, which a bench may have wrapped. */
export async function openNetwork(k: Kernels, path = modelPath): Promise<Network> {
  const file = await openSource(path)
  try {
    const header = await readHeader(file), config = readConfig(header)
    const weights = await loadWeights(k, file, header, config)
    return await createNetwork(k, config, weights)
  } finally {
    await file.close()
  }
}

/** Ids of a prompt of n tokens, seeded: any tokens cost the same. */
export const promptOf = ({ config: { vocabulary } }: Network, n: number): number[] =>
  Array.from({ length: n }, (_, i) => 5 + i * 7919 % (vocabulary - 5))

/** Rows appended at a time. */
const chunk = 1024
/** Queries that a method may ask for: the window of every method fits. */
const ring = 128

export interface Filled { readonly layers: readonly LayerCache[]; free(): void }

/** A reading of `tokens` seeded keys and values in place of a prompt's, and as many queries as methods look at: in seconds where a prefill takes minutes. */
export async function fill({ k, ...rest }: Network, kv: RowType, tokens: number): Promise<Filled> {
  const shape = shapeOf({ k, ...rest }), { kvHeads, headDim, heads } = shape, type = rowTypes[kv]
  const o: LayerOptions = { k, shape, kv }
  const keys = k.tensor([chunk, kvHeads, headDim], 'f32'), values = k.tensor([chunk, kvHeads, headDim], 'f32')
  const queries = normal(ring * heads * headDim, 3)
  const layers: LayerCache[] = []
  for (let at = 0; at < shape.layers; at++) {
    const layer = createLayer(o, { rows: Array.from({ length: kvHeads }, () => tokens), ring })
    const program = k.record(() => {
      k.append({ segments: layer.table, keys, values, kvHeads, headDim, type })
      k.advance({ segments: layer.table, kvHeads })
    })
    k.upload(keys, normal(chunk * kvHeads * headDim, 1 + 2 * at))
    k.upload(values, normal(chunk * kvHeads * headDim, 2 + 2 * at))
    for (let row = 0; row < tokens; row += chunk) await k.run(program, { tokens: Math.min(chunk, tokens - row), position: row })
    k.release(program)
    k.upload(layer.ring!, queries)
    advanced(layer, tokens)
    layers.push(layer)
  }
  k.free(keys, values)
  return { layers, free: () => layers.forEach(layer => freeLayer(o, layer)) }
}
