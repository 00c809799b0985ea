import { createCache, type Cache } from '../../src/cache/cache.ts'
import type { Policy } from '../../src/cache/policy.ts'
import { rowTypes, type Kernels, type RowType } from '../../src/kernels/index.ts'
import type { Sizes, Tokens } from './bare.ts'
import { watched } from './helpers.ts'

/** Several layers of attention over given rows: a model's cache without the model. */
export interface Stack {
  readonly cache: Cache
  /** Reads a prompt: rows of each layer. Positions kept, [layers][kvHeads][·]. */
  prompt(layers: readonly Tokens[]): Promise<number[][][]>
  /** Decodes one token: attention [layers][heads × headDim]. */
  step(layers: readonly Tokens[]): Promise<Float32Array[]>
  /** Rows that a layer chose in the last step; throws where it reads all. */
  rows(layer: number): Promise<number[][]>
  free(): void
}

export function createStack(k: Kernels, { heads, kvHeads, headDim }: Sizes, { layers, policy, budget, answer = 16, kv = 'f32' }: { layers: number; policy: Policy; budget: number; answer?: number; kv?: RowType }): Stack {
  const w = watched(policy)
  const cache = createCache({ k, shape: { layers, heads, kvHeads, headDim, scale: headDim ** -0.5 }, kv, policy: w.policy, budget, answer })
  const upload = (data: Float32Array, ...shape: number[]) => {
    const t = k.tensor(shape, 'f32')
    k.upload(t, data)
    return t
  }
  return {
    cache,
    async prompt(rows) {
      const { n } = rows[0]!
      cache.begin(n)
      for (const [index, { keys, values, queries }] of rows.entries()) {
        const { table, ring, type } = cache.enter(index)
        const from = upload(keys, n, kvHeads, headDim), to = upload(values, n, kvHeads, headDim), query = upload(queries, n, heads, headDim)
        await k.once({ tokens: n, position: index ? cache.seen() - n : cache.seen() }, () => {
          k.append({ segments: table, keys: from, values: to, kvHeads, headDim, type: rowTypes[type] })
          if (ring) k.observe({ ring, query, heads, headDim, window: ring.shape[0]! })
          k.advance({ segments: table, kvHeads })
        })
        await cache.leave(index)
        k.free(from, to, query)
      }
      await cache.end()
      return cache.kept()
    },
    async step(rows) {
      const steps = rows.map(({ keys, values, queries }) => ({
        query: upload(queries, 1, heads, headDim), keys: upload(keys, 1, kvHeads, headDim), values: upload(values, 1, kvHeads, headDim),
        out: k.tensor([1, heads, headDim], 'f32'),
      }))
      await cache.room()
      await k.once({ tokens: 1, position: cache.seen() }, () => {
        steps.forEach((step, index) => cache.attend(index, step))
        cache.advance()
      })
      await cache.stepped()
      const outs = await Promise.all(steps.map(async ({ out }) => await k.read(out) as Float32Array))
      for (const { query, keys, values, out } of steps) k.free(query, keys, values, out)
      return outs
    },
    rows: layer => w.rows(k, layer),
    free: () => cache.free(),
  }
}
