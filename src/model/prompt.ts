import type { Chat, Message, Tokenizer } from '../tokenizer/index.ts'

/** What is asked of a model. Either messages, or a document and a prompt, or ids as they are. */
export interface Prompt {
  /** Long text before the question. */
  readonly document?: string | undefined
  /** The question. */
  readonly prompt?: string | undefined
  readonly system?: string | undefined
  readonly messages?: readonly Message[] | undefined
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
  return encodeWithBos(tokenizer, chat()(messagesOf(prompt)))
}
