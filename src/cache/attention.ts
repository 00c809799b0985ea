import { rowTypes, type Kernels, type RowType } from '../kernels/index.ts'
import { createCache, type Cache } from './cache.ts'
import type { LayerCache } from './layer.ts'
import type { Ledger } from './ledger.ts'
import type { Planned } from './plan.ts'
import type { Policy, Shape } from './policy.ts'

export interface AttentionOptions {
  readonly kernels: Kernels
  readonly heads: number
  /** Divides heads. */
  readonly kvHeads: number
  readonly headDim: number
  readonly policy: Policy
  readonly budget: number
  readonly kv?: RowType
  /** Multiplies query·key; 1 / √headDim unless given. */
  readonly scale?: number
}

/**
 * One layer's attention under a policy, without any model: plan → append, observe → compress, then per token append → select → attend, the
 * order of RocketKV's GPU pipeline. Keys and queries count as rotated already. All arrays are f32, slowest axis first.
 */
export interface Attention {
  /** A prompt (or a further turn) of `tokens` rows is to come, and about `answer` tokens after it. */
  plan(tokens: number, answer: number): Planned
  /** keys, values [n, kvHeads, headDim]: rows of the planned prompt, or the next token's (n = 1). */
  append(keys: Float32Array, values: Float32Array): Promise<void>
  /** queries [n, heads, headDim] of the rows appended last: the newest are the method's observation window. */
  observe(queries: Float32Array): Promise<void>
  /** The prompt is all there: keeps what the method says. Positions kept, [kvHeads][·]. */
  compress(): Promise<number[][]>
  /** Rows that the token appended last will read for query [heads, headDim], per set of heads; null for all. */
  select(query: Float32Array): Promise<number[][] | null>
  /** Attention [heads, headDim] of the token appended last; `query` as for `select`. The token then counts. */
  attend(query: Float32Array): Promise<Float32Array>
  /** Positions that decoding can read, [kvHeads][·]. */
  kept(): Promise<number[][]>
  ledger(): Promise<Ledger>
  free(): void
}

export function createAttention({ kernels: k, heads, kvHeads, headDim, policy, budget, kv = 'f32', scale = 1 / Math.sqrt(headDim) }: AttentionOptions): Attention {
  for (const [name, value] of Object.entries({ heads, kvHeads, headDim }))
    if (!(Number.isInteger(value) && value > 0)) throw new RangeError(`attention: ${name} must be a positive whole number, got ${value}`)
  if (heads % kvHeads) throw new RangeError(`attention: heads must be a multiple of kvHeads ${kvHeads}, got ${heads}`)
  const shape: Shape = { layers: 1, heads, kvHeads, headDim, scale }
  const token = {
    query: k.tensor([1, heads, headDim], 'f32'), keys: k.tensor([1, kvHeads, headDim], 'f32'),
    values: k.tensor([1, kvHeads, headDim], 'f32'), out: k.tensor([1, heads, headDim], 'f32'),
  }
  let cache: Cache | undefined
  let freed = false
  let prompt: { readonly layer: LayerCache; readonly tokens: number; appended: number } | null = null
  /** The next token: appended, and perhaps attended with this query. */
  let next: { query: Float32Array | null } | null = null

  function planned(): Cache {
    if (!cache) throw new TypeError('attention: plan must come first, got no plan')
    return cache
  }

  function rows(what: string, data: Float32Array, of: number): number {
    const n = data.length / (of * headDim)
    if (!Number.isInteger(n) || n < 1) throw new RangeError(`attention: ${what} must be [n,${of},${headDim}], got ${data.length} numbers`)
    return n
  }

  async function step(query: Float32Array): Promise<void> {
    if (!next) throw new TypeError('attention: a token must be appended first, got none')
    if (rows('query', query, heads) !== 1) throw new RangeError(`attention: query must be [${heads},${headDim}], got ${query.length} numbers`)
    if (next.query) {
      if (next.query.some((x, i) => x !== query[i])) throw new RangeError('attention: attend must get the query that select got, got another')
      return
    }
    await planned().room()
    k.upload(token.query, query)
    await k.once({ tokens: 1, position: planned().seen() }, () => planned().attend(0, token))
    next.query = query.slice()
  }

  return {
    plan(tokens, answer) {
      for (const [name, value, least] of [['tokens', tokens, 1], ['answer', answer, 0]] as const)
        if (!(Number.isInteger(value) && value >= least)) throw new RangeError(`attention: ${name} must be a whole number from ${least} on, got ${value}`)
      if (prompt || next) throw new TypeError('attention: the last prompt or token must be finished first, got one that is not')
      cache ??= createCache({ k, shape, kv, policy, budget, answer })
      cache.begin(tokens, answer)
      prompt = { layer: cache.enter(0), tokens, appended: 0 }
      return cache.plan()
    },
    async append(keys, values) {
      const n = rows('keys', keys, kvHeads)
      if (values.length !== keys.length) throw new RangeError(`attention: values must be as long as keys, ${keys.length}, got ${values.length}`)
      if (!prompt) {
        if (n !== 1) throw new RangeError(`attention: one token is appended at a time after compress, got ${n}`)
        if (next) throw new TypeError('attention: the last token must be attended first, got one that was not')
        planned()
        k.upload(token.keys, keys)
        k.upload(token.values, values)
        next = { query: null }
        return
      }
      if (prompt.appended + n > prompt.tokens) throw new RangeError(`attention: the prompt must have the planned ${prompt.tokens} rows, got ${prompt.appended + n}`)
      const from = k.tensor([n, kvHeads, headDim], 'f32'), to = k.tensor([n, kvHeads, headDim], 'f32')
      k.upload(from, keys)
      k.upload(to, values)
      const { layer } = prompt
      await k.once({ tokens: n, position: planned().seen() + prompt.appended }, () => {
        k.append({ segments: layer.table, keys: from, values: to, kvHeads, headDim, type: rowTypes[layer.type] })
        k.advance({ segments: layer.table, kvHeads })
      })
      k.free(from, to)
      prompt.appended += n
    },
    async observe(queries) {
      const n = rows('queries', queries, heads)
      if (!prompt || n > prompt.appended) throw new RangeError(`attention: queries must be of rows appended before, got ${n} for ${prompt?.appended ?? 0}`)
      const { ring } = prompt.layer
      if (!ring) return
      const query = k.tensor([n, heads, headDim], 'f32')
      k.upload(query, queries)
      await k.once({ tokens: n, position: planned().seen() + prompt.appended - n }, () =>
        k.observe({ ring, query, heads, headDim, window: ring.shape[0]! }))
      k.free(query)
    },
    async compress() {
      if (!prompt) throw new TypeError('attention: a prompt must be planned first, got none')
      if (prompt.appended !== prompt.tokens)
        throw new RangeError(`attention: the prompt must have the planned ${prompt.tokens} rows, got ${prompt.appended}`)
      prompt = null
      await planned().leave(0)
      await planned().end()
      return this.kept()
    },
    async select(query) {
      await step(query)
      return planned().chosen()
    },
    async attend(query) {
      await step(query)
      await k.once({ tokens: 1, position: planned().seen() }, () => planned().advance())
      await planned().stepped()
      next = null
      return await k.read(token.out) as Float32Array
    },
    async kept() {
      return (await planned().kept())[0]!
    },
    ledger: () => planned().ledger(),
    free() {
      cache?.free()
      cache = undefined
      prompt = next = null
      if (!freed) k.free(...Object.values(token))
      freed = true
    },
  }
}
