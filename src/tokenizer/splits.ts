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

/** Contractions spelt out as llama.cpp does, case by case. */
const contractions = String.raw`'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD]`
const spaces = String.raw`\s*[\r\n]+|\s+(?!\S)|\s+`

/** The pattern of GPT-4's vocabulary with `digits` for numbers; letters: more of what a word is made of. */
const gpt4 = (digits: string, letters = '') =>
  String.raw`${contractions}|[^\r\n\p{L}\p{N}]?[\p{L}${letters}]+|${digits}| ?[^\s\p{L}${letters}\p{N}]+[\r\n]*|${spaces}`

/** Words end where lower case begins upper case; of scripts without case, and of letters beyond ASCII, every letter is both, as in llama.cpp. */
const upper = String.raw`(?:(?=\p{L})[^a-z])`, lower = String.raw`(?:(?=\p{L})[^A-Z])`
/** The pattern of GPT-4o's and Mistral's vocabularies. after: what may end a word. */
const cased = (digits: string, after = '') => String.raw`[^\r\n\p{L}\p{N}]?${upper}*${lower}+${after}|[^\r\n\p{L}\p{N}]?${upper}+${lower}*${after}`
  + String.raw`|${digits}| ?[^\s\p{L}\p{N}]+[\r\n/]*|${spaces}`

const plain = (...patterns: string[]): Split => ({ patterns, wholeWords: false, addBos: false })
const starcoder = plain(String.raw`\p{N}`, gpt2)
const llama3: Split = { patterns: [gpt4(String.raw`\p{N}{1,3}`)], wholeWords: true, addBos: true }
const qwen2 = plain(gpt4(String.raw`\p{N}`))
const tekken: Split = { patterns: [cased(String.raw`\p{N}`)], wholeWords: true, addBos: true }

/** Letters of scripts with case, as DeepSeek's tokenizer.json lists them. Those that normalising would change are escaped. */
const deepseekLetters = 'A-Za-zµÀ-ÖØ-öø-ƺƼ-ƿǄ-ʓʕ-ʯͰ-ͳͶͷͻ-ͽͿΆΈ-ΊΌΎ-ΡΣ-ϵϷ-ҁҊ-ԯԱ-ՖႠ-ჅᎠ-Ᏽᏸ-ᏽᲐ-ᲺᲽ-Ჿᴀ-ᴫᵫ-ᵷᵹ-ᶚḀ-ἕἘ-Ἕἠ-ὅὈ-Ὅὐ-ὗὙὛὝὟ-\u1f7dᾀ-ᾴᾶ-ᾼ\u1fbeῂ-ῄῆ-ῌῐ-\u1fd3ῖ-\u1fdbῠ-Ῥῲ-ῴῶ-ῼ'
  + 'ℂℇℊ-ℓℕℙ-ℝℤ\u2126ℨ\u212a-ℭℯ-ℴℹℼ-ℿⅅ-ⅉⅎↃↄⰀ-ⱻⱾ-ⳤⳫ-ⳮⳲⳳꙀ-ꙭꚀ-ꚛꜢ-ꝯꝱ-ꞇꞋ-ꞎꭰ-ꮿﬀ-ﬆﬓ-ﬗＡ-Ｚａ-ｚ𐐀-𐑏𐒰-𐓓𐓘-𐓻𐲀-𐲲𐳀-𐳲𑢠-𑣟𞤀-𞥃'
/** Its classes hold white space, which llama.cpp takes for no letter. */
const solid = (letters: string): string => String.raw`(?:(?!\s)[${letters}])+`
const deepseekLlm = plain('[\\r\\n]', String.raw`\s?[${deepseekLetters}]+`, String.raw`\s?${solid('!-/:-~！-／：-～‘-‟　-。')}`, String.raw`\s+$`, solid('一-龥ࠀ-一가-퟿'), String.raw`\p{N}+`)

/** llama.cpp's fallback for files that name no pre-tokenizer. */
const fallback: Split = {
  patterns: [String.raw`[\p{P}\$\+<=>\^~\|]+`, gpt2, String.raw`\p{N}+`, '[0-9][0-9][0-9]'],
  wholeWords: false, addBos: false,
}

/** Marks and words of ASCII, as DeepSeek's later vocabularies join them. */
const ascii = String.raw`[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_${'`'}{|}~][A-Za-z]+`
const deepseekV3 = plain(String.raw`\p{N}{1,3}`, '[一-龥぀-ゟ゠-ヿ]+', String.raw`${ascii}|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|${spaces}`)
const deepseekCoder = plain('[\\r\\n]', String.raw`\s?\p{L}+`, String.raw`\s?\p{P}+`, solid('一-龥ࠀ-一가-퟿'), String.raw`\p{N}`)
const gpt4o = plain(cased(String.raw`\p{N}{1,3}`, `(?:${contractions})?`))

/** By `tokenizer.ggml.pre`; the names are llama.cpp's. */
const splits: ReadonlyMap<string, Split> = new Map([
  ['default', fallback],
  ...named(plain(gpt2), 'gpt-2', 'phi-2', 'olmo', 'mpt'),
  ...named(starcoder, 'starcoder', 'refact', 'smollm', 'command-r', 'codeshell', 'exaone'),
  ...named(llama3, 'llama-bpe', 'llama3', 'llama-v3', 'falcon3'),
  ...named({ ...llama3, wholeWords: false, addBos: false }, 'smaug-bpe', 'dbrx'),
  ...named(qwen2, 'qwen2', 'deepseek-r1-qwen', 'stablelm2', 'megrez'),
  ['qwen35', plain(gpt4(String.raw`\p{N}`, String.raw`\p{M}`))], ['tekken', tekken], ...named(gpt4o, 'gpt-4o', 'llama4'),
  ['deepseek-llm', deepseekLlm], ['deepseek-coder', deepseekCoder], ['deepseek-v3', deepseekV3],
])

function named(split: Split, ...names: string[]): [string, Split][] {
  return names.map(name => [name, split])
}

/** The split a file asks for by name. */
export function splitOf(pre: string): Split {
  const split = splits.get(pre)
  if (!split) throw modelError(`tokenizer.ggml.pre must be one of ${[...splits.keys()].join(', ')}, got ${pre}`)
  return split
}
