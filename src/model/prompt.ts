import type { Chat, ChatOptions, Message, Tokenizer } from '../tokenizer/index.ts'

/** What is asked of a model. Either messages, or a document and a prompt, or ids as they are. */
export interface Prompt {
  /** Long text before the question. */
  readonly document?: string | undefined
  /** The question. */
  readonly prompt?: string | undefined
  readonly system?: string | undefined
  readonly messages?: readonly Message[] | undefined
  /** What the chat template is told beside the messages. */
  readonly template?: Pick<ChatOptions, 'tools' | 'thinking'> | undefined
  /** No chat template: document and prompt as they stand, special tokens recognised. */
  readonly raw?: boolean | undefined
  /** Token ids in place of text. */
  readonly ids?: readonly number[] | undefined
}

/** Document and question as one user message: a blank line between them. */
export function messagesOf({ document, prompt, system, messages }: Prompt): Message[] {
  if (messages) return [...messages]
  const content = [document, prompt].filter(part => part !== undefined && part !== '').join('\n\n')
  return [...system === undefined ? [] : [{ role: 'system', content: system }], { role: 'user', content }]
}

/** Ids of a text with BOS in front where the file says so and the text does not begin with it. */
export function encodeWithBos(tokenizer: Tokenizer, text: string): number[] {
  const ids = tokenizer.encode(text)
  return tokenizer.addBos && tokenizer.bos !== null && ids[0] !== tokenizer.bos ? [tokenizer.bos, ...ids] : ids
}

/** What all prompts about a document begin with: two that ask different things, up to where they part. */
export function documentIds(prompt: Prompt, tokenizer: Tokenizer, chat: () => Chat): number[] {
  if (prompt.ids || prompt.raw) return promptIds(prompt, tokenizer, chat)
  const [one, other] = ['A', '1'].map(question => promptIds({ ...prompt, prompt: question }, tokenizer, chat)) as [number[], number[]]
  const parted = one.findIndex((id, i) => id !== other[i])
  return parted < 0 ? one : one.slice(0, parted)
}

/** The prompt's ids. chat: the file's template, asked for only where one is needed. */
export function promptIds(prompt: Prompt, tokenizer: Tokenizer, chat: () => Chat): number[] {
  if (prompt.ids) return [...prompt.ids]
  if (prompt.raw) return encodeWithBos(tokenizer, (prompt.document ?? '') + (prompt.prompt ?? ''))
  return encodeWithBos(tokenizer, chat()(messagesOf(prompt), prompt.template))
}

/**
 * Fewest tokens that document and question can become: their letters over those of the longest token. Told without making tokens, so
 * that a text far too long is refused at once. Bytes that the vocabulary lacks do not count, as they are left out.
 */
export function leastTokens({ document = '', prompt = '' }: Prompt, tokenizer: Tokenizer): number {
  let longest = 1
  const has = new Uint8Array(256)
  for (let id = 0; id < tokenizer.size; id++) {
    const { length } = tokenizer.token(id)
    longest = Math.max(longest, length)
    if (length === 1) for (const byte of tokenizer.bytes(id)) has[byte] = 1
  }
  const text = (document + prompt).trim() // as a template may do
  // Every unit of UTF-16 above ASCII has at least one byte of 128 to 191 of its own.
  const beyond = has.subarray(128, 192).every(Boolean)
  let letters = 0
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i)
    letters += Number(unit < 128 ? has[unit] : beyond)
  }
  return Math.ceil(letters / longest)
}
