import type { Ledger } from '../cache/ledger.ts'
import { expectedAnswer } from '../cache/plan.ts'
import { stopMatcher, type ChatOptions, type Message } from '../tokenizer/index.ts'
import { answer, emptyDraft, type Draft, type StopReason } from './answer.ts'
import { answerTokens, contextTokens, defaultBudget, refuseLong, roomFor, timingsOf, type GenerateOptions, type Generator, type Timings } from './generate.ts'
import { encodeWithBos } from './prompt.ts'
import { samplingOf } from './sample.ts'
import { createSequence, type Sequence } from './sequence.ts'

export interface ConversationOptions extends Omit<GenerateOptions, 'signal' | 'progress' | 'propagate'> {
  readonly system?: string | undefined
  /** What the template makes of the messages: tools, thinking. */
  readonly template?: Pick<ChatOptions, 'tools' | 'thinking'> | undefined
}

/** Why a turn reads earlier turns again: the template writes them differently now, or reading was broken off. */
export type Again = 'rewritten' | 'broken off'

/** An answer in a conversation: text as it comes, and all about it once it is there. */
export interface Turn extends AsyncIterable<string> {
  /** Tokens before the answer, all turns together. */
  readonly promptTokens: number
  /** Of these, tokens that this turn reads; the others are in the cache. */
  readonly readTokens: number
  readonly again: Again | null
  readonly tokens: readonly number[]
  readonly text: string
  readonly stopReason: StopReason | null
  readonly timings: Timings
  /** At the end; null before the prompt is read. */
  readonly ledger: Ledger | null
}

/** Turns that share one cache: each reads only what it adds. */
export interface Conversation {
  readonly messages: readonly Message[]
  /** Answers a message. Nothing runs before the first text is asked for; what is broken off before it is read was never said. */
  say(content: string, watch?: Pick<GenerateOptions, 'signal' | 'progress'>): Turn
  /** What is held now; null before the first turn. */
  ledger(): Promise<Ledger | null>
  /** Begins anew: only the system message stays. */
  reset(): void
  free(): void
}

/** What the cache holds: a text that was asked, an answer to it, and how many tokens that is. */
interface Read { readonly sequence: Sequence; readonly asked: string; readonly draft: Draft; readonly tokens: number }

/** Where an answer ends in the text after its question, or -1. Templates often trim answers: space at its ends does not count. */
function endOf(text: string, after: string): number {
  if (after.startsWith(text)) return text.length
  const trimmed = text.trim(), start = after.length - after.trimStart().length
  return after.startsWith(trimmed, start) ? start + trimmed.length : -1
}

export function converse(g: Generator, options: ConversationOptions = {}): Conversation {
  const { tokenizer, network } = g
  const sampling = samplingOf(options), policy = options.method ?? g.defaultMethod(), budget = options.budget ?? defaultBudget
  const trained = network.config.context
  stopMatcher(options.stop ?? [])
  const first: readonly Message[] = options.system === undefined ? [] : [{ role: 'system', content: options.system }]
  let messages: readonly Message[] = first
  let read: Read | null = null
  let running = false

  function forget(): void {
    read?.sequence.free()
    read = null
  }

  /** What `text` adds to the turns in the cache, or null where it does not begin with them. drop: the end token that was drawn is not in the text. */
  function added(text: string): { readonly rest: string; readonly drop: boolean } | null {
    if (!read || !text.startsWith(read.asked)) return null
    const after = text.slice(read.asked.length), end = endOf(read.draft.text, after)
    if (end < 0) return null
    const rest = after.slice(end)
    if (read.draft.stopReason !== 'eos') return { rest, drop: false }
    const ending = tokenizer.decode(read.draft.tokens.slice(-1))
    return rest.startsWith(ending) ? { rest: rest.slice(ending.length), drop: false } : { rest, drop: true }
  }

  function say(content: string, { signal, progress }: Pick<GenerateOptions, 'signal' | 'progress'> = {}): Turn {
    if (running) throw new TypeError('say: the turn before must have ended, got one that goes on')
    refuseLong({ prompt: content }, tokenizer, contextTokens(trained, options.context, options.extend ?? false))
    const asked: readonly Message[] = [...messages, { role: 'user', content }]
    const text = g.chat()(asked, options.template)
    const more = added(text)
    const again: Again | null = more || messages.length === first.length ? null : read ? 'rewritten' : 'broken off'
    const ids = more ? tokenizer.encode(more.rest) : encodeWithBos(tokenizer, text)
    const known = more ? read!.tokens - Number(more.drop) : 0
    const promptTokens = known + ids.length
    // Answers get shorter as the context fills.
    const room = Math.max(1, contextTokens(trained, options.context, options.extend ?? false) - promptTokens)
    const most = answerTokens(promptTokens, trained, { ...options, ...options.maxTokens === undefined ? {} : { maxTokens: Math.min(options.maxTokens, room) } }), expected = expectedAnswer(most)
    const draft = emptyDraft(), stops = stopMatcher(options.stop ?? [])
    let prefillMs = 0
    let ledger: Ledger | null = null

    async function* run(): AsyncGenerator<string> {
      running = true
      if (!more) forget()
      let state: 'as before' | 'reading' | 'whole' = 'as before'
      try {
        const held = await read?.sequence.ledger()
        network.k.reserve(roomFor(g, { policy, budget, tokens: promptTokens, answer: expected }, held?.kvBytes))
        const sequence = read?.sequence ?? createSequence(network, { policy, budget, answer: expected, sampling, kv: g.kv, precision: g.precision })
        state = 'reading'
        read = { sequence, asked: text, draft, tokens: promptTokens }
        if (more?.drop) sequence.drop()
        const started = performance.now()
        await sequence.prefill(ids, { signal, progress })
        prefillMs = performance.now() - started
        state = 'whole'
        yield* answer(sequence, draft, { tokenizer, stops, most, ignoreEos: options.ignoreEos ?? false, signal })
      } catch (error) {
        if (!signal?.aborted) throw error
        draft.stopReason = 'abort'
      } finally {
        running = false
        if (read) ledger = await read.sequence.ledger()
        if (state === 'whole') {
          messages = [...asked, { role: 'assistant', content: draft.text }]
          read = { ...read!, tokens: promptTokens + draft.tokens.length }
        } else if (state === 'reading') forget()
      }
    }

    let iterator: AsyncGenerator<string> | undefined
    return {
      promptTokens, readTokens: ids.length, again,
      get tokens() { return draft.tokens },
      get text() { return draft.text },
      get stopReason() { return draft.stopReason },
      get ledger() { return ledger },
      get timings() { return timingsOf(ids.length, prefillMs, draft) },
      [Symbol.asyncIterator]: () => iterator ??= run(),
    }
  }

  return {
    get messages() { return messages },
    say,
    ledger: async () => await read?.sequence.ledger() ?? null,
    reset() {
      if (running) throw new TypeError('reset: the turn must have ended, got one that goes on')
      messages = first
      forget()
    },
    free: forget,
  }
}
