import { modelError } from './errors.ts'

/** How text is cut into words before merging. Each pattern cuts the pieces the one before it left; gaps are pieces too. */
export interface Split {
  readonly patterns: readonly string[]
  /** A word found whole in the vocabulary is that token, whatever the merges say. */
  readonly wholeWords: boolean
  /** Whether BOS is added where the file does not say. */
  readonly addBos: boolean
}

/** The pattern of GPT-2. `|\s+` of the original only takes single leftovers, which as gaps become pieces anyway. */
const gpt2 = String.raw`'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)`

/** The pattern of GPT-4's vocabulary with `digits` for numbers; contractions spelt out as llama.cpp does, case by case. */
const gpt4 = (digits: string) => String.raw`'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD]`
  + String.raw`|[^\r\n\p{L}\p{N}]?\p{L}+|${digits}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`

const smollm: Split = { patterns: [String.raw`\p{N}`, gpt2], wholeWords: false, addBos: false }
const llama3: Split = { patterns: [gpt4(String.raw`\p{N}{1,3}`)], wholeWords: true, addBos: true }
const qwen2: Split = { patterns: [gpt4(String.raw`\p{N}`)], wholeWords: false, addBos: false }

/** llama.cpp's fallback for files that name no pre-tokenizer. */
const fallback: Split = {
  patterns: [String.raw`[\p{P}\$\+<=>\^~\|]+`, gpt2, String.raw`\p{N}+`, '[0-9][0-9][0-9]'],
  wholeWords: false, addBos: false,
}

/** By `tokenizer.ggml.pre`; the names are llama.cpp's. */
const splits: ReadonlyMap<string, Split> = new Map([
  ['smollm', smollm], ['llama-bpe', llama3], ['llama3', llama3], ['llama-v3', llama3], ['qwen2', qwen2],
  ['gpt-2', { patterns: [gpt2], wholeWords: false, addBos: false }], ['default', fallback],
])

/** The split a file asks for by name. */
export function splitOf(pre: string): Split {
  const split = splits.get(pre)
  if (!split) throw modelError(`tokenizer.ggml.pre must be one of ${[...splits.keys()].join(', ')}, got ${pre}`)
  return split
}
