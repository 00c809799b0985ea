import { Environment, Interpreter, Template } from '@huggingface/jinja'
import { modelError } from './errors.ts'
import type { Metadata } from './metadata.ts'
import { strings, takeStrings } from './repr.ts'
import { stripping, takeCharacters } from './strip.ts'
import { foldSystem, refusesSystem } from './system.ts'
import type { Tokenizer } from './vocabulary.ts'

/** A message as templates know it: what else it holds (name, tool_calls, tool_call_id, reasoning_content) is theirs to read. */
export interface Message { readonly role: string; readonly content: string; readonly [name: string]: unknown }

export interface ChatOptions {
  /** Ends the text where the assistant's answer begins; true unless said otherwise. */
  readonly addGenerationPrompt?: boolean
  /** Functions the model may call, as JSON schemas. */
  readonly tools?: readonly object[]
  /** Whether the model thinks before it answers, where its template asks; as the template has it unless said. */
  readonly thinking?: boolean
  /** What `strftime_now` takes for the present. */
  readonly now?: Date
}

/** Messages to the text the model was trained on. The text may begin with BOS: do not add a second one. */
export interface Chat {
  (messages: readonly Message[], options?: ChatOptions): string
  /** The template refuses or drops a system message: it is put before the first user message instead. */
  readonly foldsSystem: boolean
}

/** The file's own template, with the variables and the whitespace rules that transformers gives it. */
export function chatTemplate(metadata: Metadata, tokenizer: Pick<Tokenizer, 'bos' | 'eos' | 'token'>): Chat {
  const source = templateSource(metadata)
  // Jinja counts any line ending as \n; the library trims lines and blocks as transformers asks Jinja to.
  const template = attempt('read', () => new Template(source.replace(/\r\n?/g, '\n')))
  takeCharacters(template.parsed)
  takeStrings(template.parsed)
  const render = (messages: readonly Message[], { addGenerationPrompt = true, tools, thinking, now }: ChatOptions = {}): string => attempt('rendered', () => {
    const environment = new Environment()
    const variables = {
      ...globals(now), ...stripping, ...strings, ...specialNames(tokenizer), ...thinking === undefined ? {} : Object.fromEntries(thinkingNames.map(name => [name, thinking])),
      messages, add_generation_prompt: addGenerationPrompt, tools: tools?.length ? tools : null, documents: null,
    }
    for (const [name, value] of Object.entries(variables)) environment.set(name, value)
    return String(new Interpreter(environment).run(template.parsed).value)
  })
  let folds: boolean | undefined
  const foldsSystem = (): boolean => folds ??= refusesSystem(render)
  const chat = (messages: readonly Message[], options?: ChatOptions): string =>
    render(messages[0]?.role === 'system' && foldsSystem() ? foldSystem(messages) : messages, options)
  return Object.defineProperty(chat, 'foldsSystem', { get: foldsSystem }) as Chat
}

/** `tokenizer.chat_template`, one text or a list of named ones, or `tokenizer.chat_template.default`. */
function templateSource(metadata: Metadata): string {
  const key = 'tokenizer.chat_template'
  const value = metadata.get(key)
  const entries: unknown[] = Array.isArray(value) ? value : []
  const named = entries.find(entry => (entry as { name?: unknown } | null)?.name === 'default') as { template?: unknown } | undefined
  const found = [value, named?.template, metadata.get(`${key}.default`)].find(candidate => typeof candidate === 'string')
  if (typeof found === 'string') return found
  const others = [...metadata.keys()].filter(name => name.startsWith(`${key}.`)).map(name => name.slice(key.length + 1))
    .concat(entries.map(entry => String((entry as { name?: unknown } | null)?.name)))
  const got = others.length ? `only ${others.join(', ')}` : 'none'
  throw modelError(`a chat needs ${key} in the file, got ${got}: run --raw sends the text as it is`)
}

/** Names under which templates ask whether to think: Qwen's, and DeepSeek's and Granite's. */
const thinkingNames = ['enable_thinking', 'thinking'] as const

/** transformers defines these names only where the model has the token. */
function specialNames({ bos, eos, token }: Pick<Tokenizer, 'bos' | 'eos' | 'token'>): Record<string, string> {
  return { ...(bos === null ? {} : { bos_token: token(bos) }), ...(eos === null ? {} : { eos_token: token(eos) }) }
}

function globals(now: Date | undefined): Record<string, unknown> {
  return {
    true: true, True: true, false: false, False: false, none: null, None: null,
    range,
    raise_exception: (message: unknown) => { throw new Error(String(message)) },
    strftime_now: (format: string) => strftime(now ?? new Date(), format),
  }
}

/** Python's `range`. */
function range(first: number, second?: number, step = 1): number[] {
  const [start, stop] = second === undefined ? [0, first] : [first, second]
  return Array.from({ length: Math.max(0, Math.ceil((stop - start) / step)) }, (_, index) => start + index * step)
}

const months = ['January', 'February', 'March', 'April', 'May', 'June', 'July', 'August', 'September', 'October', 'November', 'December']
const days = ['Sunday', 'Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday']

/** Python's `strftime` in the C locale: the same text on every machine. Unknown codes stay as they are. */
export function strftime(date: Date, format: string): string {
  const two = (value: number) => String(value).padStart(2, '0')
  const month = months[date.getMonth()]!
  const day = days[date.getDay()]!
  const codes: Record<string, string> = {
    Y: String(date.getFullYear()), y: two(date.getFullYear() % 100), m: two(date.getMonth() + 1), d: two(date.getDate()),
    B: month, b: month.slice(0, 3), A: day, a: day.slice(0, 3),
    H: two(date.getHours()), I: two(date.getHours() % 12 || 12), p: date.getHours() < 12 ? 'AM' : 'PM',
    M: two(date.getMinutes()), S: two(date.getSeconds()), '%': '%',
  }
  return format.replace(/%([a-zA-Z%])/g, (whole, code: string) => codes[code] ?? whole)
}

/** Whatever a template or the library throws, as one sentence about the file. */
function attempt<T>(done: string, body: () => T): T {
  try {
    return body()
  } catch (error) {
    const reason = (error instanceof Error ? error.message : String(error)).replace(/\s+/g, ' ').trim()
    throw modelError(`tokenizer.chat_template could not be ${done}: ${reason}`)
  }
}
