import { utf8 } from './bytes.ts'
import type { Tokenizer } from './vocabulary.ts'

/** Ids to text, one at a time. All that `push` and `flush` return, put together, is what `decode` returns. */
export interface TextStream {
  /** The characters this token completes; the start of a character waits for its end. */
  push(id: number): string
  /** What was still waiting, as U+FFFD: the stream ends inside a character. */
  flush(): string
}

/** A stream of text. Control tokens are left out unless `special` asks for them. */
export function textStream(tokenizer: Pick<Tokenizer, 'pieces' | 'isSpecial'>, { special = false } = {}): TextStream {
  const decoder = utf8(), piece = tokenizer.pieces()
  return {
    push(id) {
      const bytes = piece(id)
      return special || !tokenizer.isSpecial(id) ? decoder.decode(bytes, { stream: true }) : ''
    },
    flush: () => decoder.decode(),
  }
}

/** Looks for stop strings in text that comes in pieces. However it is cut, the answer is the same. */
export interface StopMatcher {
  /** The stop string found, or null. */
  readonly matched: string | null
  /** The text that can no longer be part of a stop string; after a match, only what stood before it, then nothing. */
  push(text: string): string
  /** What was held back and turned out to be text. */
  flush(): string
}

/** The stop string that is complete first ends the text; of several that end together, the one that starts first. */
export function stopMatcher(stops: readonly string[]): StopMatcher {
  if (stops.includes('')) throw Object.assign(new RangeError('a stop string must have at least one character, got an empty one'), { code: 'usage' })
  let held = ''
  let matched: string | null = null
  return {
    get matched() { return matched },
    push(text) {
      if (matched !== null) return ''
      const all = held + text
      const found = firstStop(all, stops)
      matched = found?.stop ?? null
      const end = found ? found.start : all.length - possibleStart(all, stops)
      held = found ? '' : all.slice(end)
      return all.slice(0, end)
    },
    flush() {
      const rest = held
      held = ''
      return rest
    },
  }
}

function firstStop(text: string, stops: readonly string[]): { stop: string; start: number } | null {
  let first: { stop: string; start: number } | null = null
  for (const stop of stops) {
    const start = text.indexOf(stop)
    if (start < 0) continue
    const later = first ? start + stop.length - (first.start + first.stop.length) : -1
    if (!first || later < 0 || (later === 0 && start < first.start)) first = { stop, start }
  }
  return first
}

/** How many last characters of the text may be the start of a stop string. */
function possibleStart(text: string, stops: readonly string[]): number {
  let longest = 0
  for (const stop of stops) {
    for (let length = Math.min(stop.length - 1, text.length); length > longest; length--) {
      if (text.endsWith(stop.slice(0, length))) longest = length
    }
  }
  return longest
}
