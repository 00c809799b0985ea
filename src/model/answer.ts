import { textStream, type StopMatcher, type Tokenizer } from '../tokenizer/index.ts'
import type { Sequence } from './sequence.ts'

export type StopReason = 'eos' | 'stop' | 'length' | 'abort'

/** An answer while it is written. */
export interface Draft {
  /** Ids drawn so far, the end of turn included where it ended the answer. */
  readonly tokens: number[]
  text: string
  stopReason: StopReason | null
  /** Between the first token and the last. */
  decodeMs: number
}

export const emptyDraft = (): Draft => ({ tokens: [], text: '', stopReason: null, decodeMs: 0 })

interface AnswerOptions {
  readonly tokenizer: Tokenizer
  readonly stops: StopMatcher
  /** Most tokens of the answer. */
  readonly most: number
  readonly ignoreEos: boolean
  readonly signal: AbortSignal | undefined
}

/** Draws tokens until the turn ends, a stop string comes or there are enough, and notes in `draft` what there is. Gives text as it is certain. */
export async function* answer(sequence: Sequence, draft: Draft, { tokenizer, stops, most, ignoreEos, signal }: AnswerOptions): AsyncGenerator<string> {
  const stream = textStream(tokenizer)
  const pass = (text: string): string => {
    const out = stops.push(text)
    draft.text += out
    return out
  }
  try {
    let first = performance.now()
    while (draft.tokens.length < most) {
      const id = await sequence.next(signal)
      if (!draft.tokens.length) first = performance.now()
      draft.tokens.push(id)
      draft.decodeMs = performance.now() - first
      if (!ignoreEos && tokenizer.endTokens.has(id)) {
        draft.stopReason = 'eos'
        break
      }
      const text = pass(stream.push(id))
      if (text) yield text
      if (stops.matched !== null) {
        draft.stopReason = 'stop'
        return
      }
      signal?.throwIfAborted()
    }
    draft.stopReason ??= 'length'
  } catch (error) {
    if (!signal?.aborted) throw error
    draft.stopReason = 'abort'
  }
  const last = pass(stream.flush()), held = stops.flush()
  draft.text += held
  if (last + held) yield last + held
}
