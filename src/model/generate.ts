import type { Ledger } from '../cache/ledger.ts'
import { expectedAnswer } from '../cache/plan.ts'
import type { Policy } from '../cache/policy.ts'
import type { RowType } from '../kernels/index.ts'
import { stopMatcher, type Chat, type Tokenizer } from '../tokenizer/index.ts'
import { answer, emptyDraft, type Draft, type StopReason } from './answer.ts'
import type { Network, Precision } from './llama.ts'
import { memoryPlan } from './memory.ts'
import type { PrefillProgress } from './prefill.ts'
import { propagationOf, type Propagation } from './propagate.ts'
import { leastTokens, promptIds, type Prompt } from './prompt.ts'
import { readingWindow, type Asked, type Reading } from './reading.ts'
import { wouldFit } from './fitting.ts'
import { samplingOf, type Sampling } from './sample.ts'
import { createSequence, type Sequence } from './sequence.ts'
import { fault } from '../cache/fault.ts'

export type { StopReason }

export interface GenerateOptions extends Partial<Sampling> {
  readonly method?: Policy
  /** In the sense the method declares; 512 by default. */
  readonly budget?: number
  /** Most tokens of the answer. By default 512, or what the trained context leaves. */
  readonly maxTokens?: number
  /** Which tokens of the prompt go through all layers: all of them unless given. Not of a document that was read before. */
  readonly propagate?: Propagation | string | undefined
  readonly stop?: readonly string[]
  readonly ignoreEos?: boolean
  /** Tokens to make room for, above the trained context only with `extend`. */
  readonly context?: number
  readonly extend?: boolean
  readonly signal?: AbortSignal
  readonly progress?: PrefillProgress
}

export interface Timings { readonly prefillMs: number; readonly decodeMs: number; readonly prefillTokensPerSecond: number; readonly decodeTokensPerSecond: number }

/** tokens: read before the answer. */
export function timingsOf(tokens: number, prefillMs: number, { tokens: drawn, decodeMs }: Pick<Draft, 'tokens' | 'decodeMs'>): Timings {
  const decoded = Math.max(0, drawn.length - 1)
  return { prefillMs, decodeMs, prefillTokensPerSecond: prefillMs ? tokens / prefillMs * 1e3 : 0, decodeTokensPerSecond: decodeMs ? decoded / decodeMs * 1e3 : 0 }
}

/** An answer: text as it comes, and all about it once it is there. */
export interface Story extends AsyncIterable<string> {
  readonly promptTokens: number
  /** Ids drawn so far, the end of turn included where it ended the answer. */
  readonly tokens: readonly number[]
  readonly text: string
  readonly stopReason: StopReason | null
  readonly timings: Timings
  /** At the end; null before the prompt is read. */
  readonly ledger: Ledger | null
  /** Positions held right after the prompt was read: [layers][kvHeads][·]. */
  kept(): Promise<number[][][]>
  /** Logits [vocabulary] at the prompt's last position. */
  promptLogits(): Promise<Float32Array>
  /** Runs to the end and gives the whole text. */
  all(): Promise<string>
}

/** What generating needs of a loaded model. */
export interface Generator {
  readonly network: Network
  readonly tokenizer: Tokenizer
  readonly chat: () => Chat
  readonly defaultMethod: () => Policy
  readonly kv: RowType
  readonly precision: Precision
  readonly limit: number
}

export const defaultBudget = 512
const defaultMaxTokens = 512

/** Tokens that prompt and answer may have together. */
export function contextTokens(trained: number, context: number | undefined, extend: boolean): number {
  const most = context ?? (extend ? Infinity : trained)
  if (most > trained && !extend) throw fault('fit', `context must be at most the ${trained} tokens the model was trained on, got ${most}; --extend asks for more all the same`)
  return most
}

/** Refuses a text that is far too long before it is made tokens, which takes a second a megabyte. */
export function refuseLong(prompt: Prompt, tokenizer: Tokenizer, most: number): void {
  const { ids, document = '', prompt: question = '' } = prompt
  if (ids || document.length + question.length <= most) return
  const least = leastTokens(prompt, tokenizer)
  if (least > most) throw fault('fit', `prompt and answer must fit the context of ${most} tokens, got a prompt of at least ${least}`)
}

/** Tokens an answer may have; refuses what the trained context does not hold. */
export function answerTokens(promptTokens: number, trained: number, { maxTokens, context, extend = false }: Pick<GenerateOptions, 'maxTokens' | 'context' | 'extend'>): number {
  if (maxTokens !== undefined && !(Number.isInteger(maxTokens) && maxTokens >= 0)) throw fault('usage', `max-tokens must be a whole number from 0 on, got ${maxTokens}`)
  if (context !== undefined && !(Number.isInteger(context) && context >= 1)) throw fault('usage', `context must be a whole number of tokens from 1 on, got ${context}`)
  const most = contextTokens(trained, context, extend)
  const answer = maxTokens ?? Math.min(defaultMaxTokens, Math.max(1, most - promptTokens))
  if (promptTokens + answer > most)
    throw fault('fit', `prompt and answer must fit the context of ${most} tokens, got ${promptTokens} + ${answer}`)
  return answer
}

/** A prompt and how it is to be answered. */
export interface Need {
  readonly policy: Policy
  readonly budget: number
  readonly tokens: number
  readonly answer: number
  readonly propagate?: Propagation | undefined
  /** Tokens at its beginning that a reading has. */
  readonly shared?: number
  readonly kv?: RowType
}

/** Bytes that reading a prompt takes beside the weights. */
export function neededBytes(g: Pick<Generator, 'network' | 'kv' | 'precision'>, { shared = 0, kv = g.kv, ...need }: Need): number {
  const { config, weights: { gap, layouts }, k: { threads } } = g.network
  const reading = shared ? { shared, window: readingWindow } : undefined
  return memoryPlan(config, { ...need, kv, precision: g.precision, weights: 0, gap, layouts, threads, reading }).peak
}

/** Bytes that reading a prompt takes; refuses more than the memory has, and says what would fit. held: bytes that it may take over. */
export function roomFor(g: Generator, need: Need, held = 0): number {
  const used = g.network.k.memory().used - held, needed = neededBytes(g, need)
  if (used + needed > g.limit)
    throw fault('memory', `memory must stay within ${(g.limit / 1e6).toFixed(0)} MB, got ${(used / 1e6).toFixed(0)} MB of weights and ${(needed / 1e6).toFixed(0)} MB for ${need.tokens} prompt tokens under ${need.policy.name}; `
      + wouldFit({ ...need, kv: g.kv, precision: g.precision }, changed => used + neededBytes(g, { ...need, ...changed }) <= g.limit))
  return needed
}

/** Reads a prompt, or what a reading of its beginning lacks, and answers it. Nothing runs before the first text is asked for. */
export function generate(g: Generator, prompt: Prompt, options: GenerateOptions = {}, reading?: Reading): Story {
  const sampling = samplingOf(options)
  const stops = stopMatcher(options.stop ?? [])
  const policy = options.method ?? g.defaultMethod()
  const budget = options.budget ?? defaultBudget
  const { tokenizer, network } = g
  const propagate = propagationOf(options.propagate)
  refuseLong(prompt, tokenizer, contextTokens(network.config.context, options.context, options.extend ?? false))
  const ids = promptIds(prompt, tokenizer, g.chat)
  if (!ids.length) throw fault('usage', 'a prompt must have at least one token, got none')
  if (reading && propagate) throw fault('usage', 'propagate must be asked of a whole prompt, got a question about a document that was read in all layers')
  const most = answerTokens(ids.length, network.config.context, options)
  const expected = expectedAnswer(most)
  const story = { ...emptyDraft(), ledger: null as Ledger | null }
  let prefillMs = 0
  let logits: Float32Array | undefined
  let kept: number[][][] | undefined
  let running: AsyncGenerator<string> | undefined

  async function* run(): AsyncGenerator<string> {
    const shared = reading?.shares(ids) ?? 0
    network.k.reserve(roomFor(g, { policy, budget, tokens: ids.length, answer: expected, propagate, shared }))
    const settings = { policy, budget, answer: expected, sampling, propagate }, watch = { signal: options.signal, progress: options.progress }
    let sequence: Sequence | undefined, asked: Asked | undefined
    try {
      const started = performance.now()
      if (reading) {
        asked = await reading.ask(ids, watch)
        sequence = await asked.answer(settings)
      } else {
        sequence = createSequence(network, { ...settings, kv: g.kv, precision: g.precision })
        await sequence.prefill(ids, watch)
      }
      logits = await sequence.logits()
      kept = await sequence.kept()
      prefillMs = performance.now() - started
      yield* answer(sequence, story, { tokenizer, stops, most, ignoreEos: options.ignoreEos ?? false, signal: options.signal })
    } catch (error) {
      if (!options.signal?.aborted) throw error
      story.stopReason = 'abort'
    } finally {
      if (sequence) story.ledger = await sequence.ledger()
      sequence?.free()
      asked?.free()
    }
  }

  const again = (): AsyncGenerator<string> => running ??= run()
  return {
    promptTokens: ids.length,
    get tokens() { return story.tokens },
    get text() { return story.text },
    get stopReason() { return story.stopReason },
    get ledger() { return story.ledger },
    get timings() {
      return timingsOf(ids.length, prefillMs, story)
    },
    async kept() {
      if (!kept) throw new TypeError('kept: the prompt must have been read, got a story that has not begun')
      return kept
    },
    async promptLogits() {
      if (!logits) throw new TypeError('promptLogits: the prompt must have been read, got a story that has not begun')
      return logits
    },
    async all() {
      for await (const _ of again());
      return story.text
    },
    [Symbol.asyncIterator]: again,
  }
}
