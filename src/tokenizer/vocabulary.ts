import { Tokenizer as Library } from '@huggingface/tokenizers'
import { byteLevel, namedByte, plain, utf8, wellFormed } from './bytes.ts'
import { modelError } from './errors.ts'
import { flag, text, texts, tokenId, tokenTypes, types, type Metadata } from './metadata.ts'
import { splitOf } from './splits.ts'

export interface Tokenizer {
  /** Entries of the vocabulary. */
  readonly size: number
  readonly bos: number | null
  readonly eos: number | null
  /** Whether the model wants BOS before its text; nothing here adds it. */
  readonly addBos: boolean
  /** Tokens that end an answer. */
  readonly endTokens: ReadonlySet<number>
  /** Text to ids [tokens]. Without `special`, control tokens' names are ordinary text. Bytes the vocabulary lacks are left out. */
  encode(text: string, options?: { special?: boolean }): number[]
  /** Ids [tokens] to text; bytes that are no UTF-8 become U+FFFD. With `skipSpecial`, control tokens are left out. */
  decode(ids: readonly number[], options?: { skipSpecial?: boolean }): string
  /** What one token stands for [bytes]; not to be written to. */
  bytes(id: number): Uint8Array
  isSpecial(id: number): boolean
  /** The token as the vocabulary spells it: byte-level characters, `Ġ` for a space. */
  token(id: number): string
}

/** Names that end a turn in the vocabularies read here; files often give only one of them as EOS. */
const endNames = ['<|endoftext|>', '<|end_of_text|>', '<|im_end|>', '<|eot_id|>', '<|eom_id|>', '<|end|>', '<|eot|>', '<|eom|>']

const namedIds = ['bos_token_id', 'eos_token_id', 'eot_token_id', 'eom_token_id'] as const

/** The vocabulary in the form of Hugging Face's tokenizer.json, without added tokens: `encode` cuts those out first. */
export function definition(metadata: Metadata): object {
  const kind = text(metadata, 'tokenizer.ggml.model', 'nothing')
  if (kind !== 'gpt2') throw modelError(`tokenizer.ggml.model must be gpt2 (byte-level merges), got ${kind}`)
  const split = splitOf(text(metadata, 'tokenizer.ggml.pre', 'default'))
  const vocab: Record<string, number> = Object.create(null) // a token may be called __proto__
  texts(metadata, 'tokenizer.ggml.tokens').forEach((token, id) => { vocab[token] = id })
  const merges = texts(metadata, 'tokenizer.ggml.merges')
  const odd = merges.findIndex(merge => !merge.includes(' '))
  if (odd >= 0) throw modelError(`tokenizer.ggml.merges[${odd}] must be two tokens with a space between, got ${merges[odd]}`)
  return {
    version: '1.0', added_tokens: [], normalizer: null, post_processor: null, decoder: null,
    pre_tokenizer: {
      type: 'Sequence',
      pretokenizers: [
        ...split.patterns.map(pattern => ({ type: 'Split', pattern: { Regex: pattern }, behavior: 'Isolated', invert: false })),
        { type: 'ByteLevel', add_prefix_space: false, trim_offsets: false, use_regex: false },
      ],
    },
    model: { type: 'BPE', vocab, merges, ignore_merges: split.wholeWords, unk_token: null },
  }
}

/** Reads the file's vocabulary. Nothing is normalised and no space is put before the text, as in llama.cpp. */
export function tokenizer(metadata: Metadata): Tokenizer {
  const library = new Library(definition(metadata), {})
  const tokens = texts(metadata, 'tokenizer.ggml.tokens')
  const size = tokens.length
  const split = splitOf(text(metadata, 'tokenizer.ggml.pre', 'default'))
  const [bos, eos, eot, eom] = namedIds.map(name => tokenId(metadata, name, size)) as [Id, Id, Id, Id]
  const named = endNames.map(name => library.token_to_id(name)).filter(id => id !== undefined)
  const endTokens = new Set([eos, eot, eom].filter(id => id !== null).concat(named))
  const type = typeOf(types(metadata, size), named, [bos, eos, eot, eom])

  const matcher = (wanted: (id: number) => boolean) => finder(tokens.flatMap((token, id) => (wanted(id) ? [token] : [])))
  const isControl = (id: number) => type(id) === tokenTypes.control || type(id) === tokenTypes.unknown
  const userDefined = matcher(id => type(id) === tokenTypes.userDefined)
  const added = matcher(id => type(id) === tokenTypes.userDefined || isControl(id))
  const known: (Uint8Array | undefined)[] = new Array(size)

  const spelling = (id: number): string => {
    const token = tokens[id]
    if (token === undefined) throw new RangeError(`token must be an integer from 0 to ${size - 1}, got ${id}`)
    return token
  }
  const spelledBytes = (id: number, token: string): Uint8Array => {
    if (type(id) === tokenTypes.normal) return byteLevel(token)
    return (type(id) === tokenTypes.byte ? namedByte(token) : null) ?? plain(token)
  }
  const bytes = (id: number): Uint8Array => known[id] ??= spelledBytes(id, spelling(id))

  return {
    size, bos, eos, endTokens, bytes,
    addBos: bos !== null && flag(metadata, 'tokenizer.ggml.add_bos_token', split.addBos),
    isSpecial: isControl,
    token: spelling,
    encode(source, { special = true } = {}) {
      const ids: number[] = []
      const find = special ? added : userDefined
      const whole = wellFormed(source)
      const parts = find ? whole.split(find) : [whole] // odd ones are what `find` matched
      parts.forEach((part, index) => {
        if (index % 2) ids.push(library.token_to_id(part)!)
        else if (part) for (const id of library.encode(part, { add_special_tokens: false }).ids) ids.push(id)
      })
      return ids
    },
    decode(ids, { skipSpecial = false } = {}) {
      const parts = (skipSpecial ? ids.filter(id => !isControl(id)) : ids).map(bytes)
      const all = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0))
      let end = 0
      for (const part of parts) {
        all.set(part, end)
        end += part.length
      }
      return utf8().decode(all)
    },
  }
}

type Id = number | null

/**
 * The type of each token. End names count as control even where the file types them otherwise, as converters often do;
 * a file without types has control tokens only there and under the ids it names.
 */
function typeOf(list: ArrayLike<number> | null, named: readonly number[], ids: readonly Id[]): (id: number) => number {
  const control = new Set<Id>(list ? named : [...named, ...ids])
  return id => (control.has(id) ? tokenTypes.control : list?.[id] ?? tokenTypes.normal)
}

/** Matches any of the names, the longest that fits; null where there are none. */
function finder(names: readonly string[]): RegExp | null {
  const longestFirst = names.filter(name => name).sort((a, b) => b.length - a.length)
  if (!longestFirst.length) return null
  return new RegExp(`(${longestFirst.map(name => name.replace(/[\\^$.*+?()[\]{}|/-]/g, '\\$&')).join('|')})`)
}
