export { chatTemplate, type Chat, type ChatOptions, type Message } from './chat.ts'
export type { Metadata } from './metadata.ts'
export { stopMatcher, textStream, type StopMatcher, type TextStream } from './stream.ts'
export { tokenizer, type Tokenizer } from './vocabulary.ts'
