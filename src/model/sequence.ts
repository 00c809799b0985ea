import { createCache, type Cache } from '../cache/cache.ts'
import type { LayerCache } from '../cache/layer.ts'
import type { Ledger } from '../cache/ledger.ts'
import type { Planned } from '../cache/plan.ts'
import type { Policy } from '../cache/policy.ts'
import { whole, type Program, type RowType, type Tensor } from '../kernels/index.ts'
import { begin, block, createStream, createWave, freeStream, freeWave, head, type Network, type Precision } from './llama.ts'
import { logitsOf, prefill, shapeOf, type PrefillOptions, type PrefillProgress } from './prefill.ts'
import { goingOn, propagationOf, type Propagation } from './propagate.ts'
import { greedy, penaltyWindow, type Sampling } from './sample.ts'
import { fault } from '../cache/fault.ts'

export interface SequenceOptions {
  readonly policy: Policy
  readonly budget: number
  /** Answer tokens that are expected. */
  readonly answer: number
  readonly kv: RowType
  readonly precision: Precision
  readonly sampling?: Sampling
  /** Which tokens of a prompt go through all layers: all of them unless given. */
  readonly propagate?: Propagation | string | undefined
}

/** Tokens and their cache under one policy: read prompts, draw tokens, in turns. Ids only; text is the caller's. */
export interface Sequence {
  plan(): Planned
  /** Reads more tokens (a last drawn one that was not read yet comes first) and cuts the cache as the policy says. */
  prefill(ids: readonly number[], options?: { readonly signal?: AbortSignal | undefined; readonly progress?: PrefillProgress | undefined }): Promise<void>
  /** Starts from rows that were read before: see src/model/reading.ts. logits [vocabulary]: of the last token read. */
  adopt(layers: readonly LayerCache[], logits: Tensor): Promise<void>
  /** The next token's id. */
  next(signal?: AbortSignal): Promise<number>
  /** Takes back the last drawn token, which nothing has read yet. */
  drop(): void
  /** Reads `id` as if it had been drawn. For comparisons: the logits then follow it. */
  feed(id: number): Promise<void>
  /** Logits [vocabulary] after the last token read. */
  logits(): Promise<Float32Array>
  ledger(): Promise<Ledger>
  /** Positions that decoding can read: [layers][kvHeads][·], ascending. */
  kept(): Promise<number[][][]>
  /** A sequence of its own that goes on from here: the same cache, the same draws to come unless it is given another sampling. */
  fork(sampling?: Sampling): Sequence
  free(): void
}

/** Where a fork starts. */
interface Start { readonly cache: Cache; readonly logits: Tensor; readonly state: Tensor | null; readonly id: Tensor; readonly pending: number | null; readonly recent: readonly number[] }

export function createSequence(network: Network, options: SequenceOptions, start?: Start): Sequence {
  const { policy, budget, answer, kv, precision, sampling = greedy } = options
  const propagate = propagationOf(options.propagate)
  const { k, config, weights } = network
  if (precision === 'exact' && policy.store) throw fault('usage', `${policy.name}: precision must be fast where rows are packed, got exact`)
  const cache: Cache = start?.cache ?? createCache({ k, shape: shapeOf(network), kv, policy, budget, answer })
  const { wave, stream, state, history, historyCount } = whole(k, k => ({
    wave: createWave(k, config, weights, precision, 1), stream: createStream(k, config, 1),
    state: k.tensor([2], 'u32'), history: k.tensor([penaltyWindow], 'u32'), historyCount: k.tensor([1], 'u32'),
  }))
  k.upload(state, [sampling.seed >>> 0, Math.floor(sampling.seed / 2 ** 32) >>> 0])
  const recent: number[] = [...start?.recent ?? []]
  let step: Program | null = null
  let draw: Program | null = null
  /** Drawn, but not read yet. */
  let pending: number | null = start?.pending ?? null
  let broken = false, freed = false

  if (start) {
    k.copy(wave.logits, 0, start.logits, 0, start.logits.bytes)
    k.copy(stream.ids, 0, start.id, 0, 4)
    if (start.state) k.copy(state, 0, start.state, 0, start.state.bytes)
    tellHistory()
  }

  function sample(): void {
    k.sample({ out: stream.ids, logits: wave.logits, n: config.vocabulary, history, historyCount, state,
      temperature: sampling.temperature, topK: sampling.topK, topP: sampling.topP, minP: sampling.minP, penalty: sampling.repeatPenalty })
  }

  function recordStep(withSample: boolean): Program {
    return k.record(() => {
      begin(network, stream)
      for (let index = 0; index < config.layers; index++) block(network, index, wave, stream, tensors => cache.attend(index, tensors))
      head(network, wave, stream)
      cache.advance()
      if (withSample) sample()
    })
  }

  function remember(id: number): void {
    recent.push(id)
    if (recent.length > penaltyWindow) recent.shift()
    tellHistory()
  }

  function tellHistory(): void {
    if (sampling.repeatPenalty === 1) return
    k.upload(history, recent)
    k.upload(historyCount, [recent.length])
  }

  /** Runs one token through the network. A step that was broken off can be taken again. */
  async function forward(program: () => Program, signal?: AbortSignal): Promise<void> {
    if (await cache.room()) forget()
    try {
      await k.run(program(), { tokens: 1, position: cache.seen() }, signal)
    } catch (error) {
      await cache.undo()
      if (pending !== null) k.upload(stream.ids, [pending])
      throw error
    }
    if (await cache.stepped()) forget()
  }

  function forget(): void {
    k.release(step)
    step = null
  }

  function spread(tokens: number): PrefillOptions['propagate'] {
    const last = policy.score?.window ?? 0
    return propagate && { by: propagate, to: goingOn(propagate, shapeOf(network), tokens, last), last }
  }

  function checkIds(ids: readonly number[]): void {
    const bad = ids.find(id => !(Number.isInteger(id) && id >= 0 && id < config.vocabulary))
    if (bad !== undefined) throw fault('usage', `tokens must be ids from 0 to ${config.vocabulary - 1}, got ${bad}`)
  }

  function usable(): void {
    if (freed) throw new TypeError('sequence: it must not be used after free, got a call')
    if (broken) throw new TypeError('sequence: a prefill must be whole, got one that was broken off')
  }

  return {
    plan: () => cache.plan(),
    async prefill(given, { signal, progress } = {}) {
      usable()
      const ids = pending === null ? given : [pending, ...given]
      checkIds(ids)
      if (!ids.length) throw fault('usage', 'a prompt must have at least one token, got none')
      broken = true
      forget()
      const start = cache.seen()
      cache.begin(ids.length)
      await prefill(network, precision, { ids, start, receiver: cache, signal, progress, propagate: spread(ids.length),
        finish: (prompt, rows) => logitsOf(network, wave, prompt, rows - 1) })
      await cache.end()
      for (const id of given.slice(-penaltyWindow)) remember(id)
      pending = null
      broken = false
    },
    async adopt(layers, logits) {
      forget()
      await cache.adopt(layers)
      k.copy(wave.logits, 0, logits, 0, logits.bytes)
      pending = null
    },
    async next(signal) {
      usable()
      if (pending === null) await k.run(draw ??= k.record(sample), { tokens: 1, position: cache.seen() }, signal)
      else await forward(() => step ??= recordStep(true), signal)
      const [id] = await k.read(stream.ids)
      pending = id!
      remember(id!)
      return id!
    },
    drop() {
      if (pending === null) throw new TypeError('drop: a token must have been drawn last, got none that is not read')
      pending = null
      recent.pop()
      tellHistory()
    },
    async feed(id) {
      usable()
      checkIds([id])
      k.upload(stream.ids, [id])
      let program: Program | undefined
      try {
        await forward(() => program = recordStep(false))
      } finally {
        k.release(program)
      }
      pending = null
    },
    async logits() {
      return await k.read(wave.logits) as Float32Array
    },
    ledger: () => cache.ledger(),
    kept: () => cache.kept(),
    fork(other) {
      usable()
      const copy = cache.fork()
      try {
        return createSequence(network, { ...options, sampling: other ?? sampling },
          { cache: copy, logits: wave.logits, state: other ? null : state, id: stream.ids, pending, recent })
      } catch (error) {
        copy.free()
        throw error
      }
    },
    free() {
      if (freed) return
      freed = true
      forget()
      k.release(draw)
      cache.free()
      freeWave(k, wave)
      freeStream(k, stream)
      k.free(state, history, historyCount)
    },
  }
}
