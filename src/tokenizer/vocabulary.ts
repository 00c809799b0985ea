import { bytePairs } from './bytePairs.ts'
import { namedByte, plain, utf8, wellFormed } from './bytes.ts'
import { modelError } from './errors.ts'
import { flag, text, texts, tokenId, tokenTypes, types, type Metadata } from './metadata.ts'
import { sentencePieces } from './sentencePieces.ts'
import type { Words } from './words.ts'

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
  /** Says what tokens that follow each other stand for: `bytes`, without the space that SentencePiece puts before a text. */
  pieces(): (id: number) => Uint8Array
  isSpecial(id: number): boolean
  /** The token as the vocabulary spells it: byte-level characters, `Ġ` for a space. */
  token(id: number): string
}

/**
 * Names that end a turn in public vocabularies; files often give only one of them as EOS, and type some as text. The list is llama.cpp's
 * (src/llama-vocab.cpp), and OpenChat's.
 */
const endNames = [
  '<|endoftext|>', '<|end_of_text|>', '<|im_end|>', '<|eot_id|>', '<|eom_id|>', '<|end|>', '<|eot|>', '<|eom|>', '<|return|>', '<|call|>', '<|calls|>', '<|flush|>',
  '<end_of_turn>', '<|end_of_turn|>', '<turn|>', '<end_of_utterance>', '<EOT>', '_<EOT>', '[EOT]', '[EOS]', '<｜end▁of▁sentence｜>',
]
/** Others look like markup that texts have: they end a turn only where the file types them as control. */
const markupNames = ['</s>', '<eos>']

const namedIds = ['bos_token_id', 'eos_token_id', 'eot_token_id', 'eom_token_id'] as const

/** Kinds of vocabularies that are not read here, by `tokenizer.ggml.model`. */
const kinds: Readonly<Record<string, string>> = { t5: 'unigram', bert: 'WordPiece', rwkv: 'a trie', plamo2: 'PLaMo', gemma4: "Gemma 4's merges" }

function wordsOf(metadata: Metadata, tokens: readonly string[], ids: ReadonlyMap<string, number>): Words {
  const kind = text(metadata, 'tokenizer.ggml.model', 'nothing')
  if (kind === 'gpt2') return bytePairs(metadata)
  if (kind === 'llama') return sentencePieces(metadata, tokens, ids)
  throw modelError(`tokenizer.ggml.model must be gpt2 (byte-level merges) or llama (SentencePiece merges), got ${kind}${Object.hasOwn(kinds, kind) ? ` (${kinds[kind]})` : ''}`)
}

/** Tokens that end an answer. Where `<|return|>` and `<|call|>` do, `<|end|>` only ends a part of one. */
function endsOf(named: readonly number[], ids: ReadonlyMap<string, number>, files: readonly Id[]): Set<number> {
  const ends = new Set(files.filter(id => id !== null).concat(named))
  const both = (a: string, b: string): boolean => ids.has(a) && ids.has(b)
  const part = ids.get('<|end|>')
  if (part !== undefined && (both('<|return|>', '<|call|>') || both('<|calls|>', '<|flush|>'))) ends.delete(part)
  return ends
}

/** Reads the file's vocabulary as llama.cpp does. */
export function tokenizer(metadata: Metadata): Tokenizer {
  const tokens = texts(metadata, 'tokenizer.ggml.tokens')
  const size = tokens.length
  const ids = new Map(tokens.map((token, id) => [token, id]))
  const words = wordsOf(metadata, tokens, ids)
  const list = types(metadata, size)
  const [fileBos, fileEos, eot, eom] = namedIds.map(name => tokenId(metadata, name, size)) as [Id, Id, Id, Id]
  const bos = fileBos ?? within(words.bos, size), eos = fileEos ?? within(words.eos, size)
  const named = [...endNames, ...markupNames.filter(name => list?.[ids.get(name) ?? -1] === tokenTypes.control)].map(name => ids.get(name)).filter(id => id !== undefined)
  const endTokens = endsOf(named, ids, [eos, eot, eom])
  const type = typeOf(list, named, [bos, eos, eot, eom])

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
    if (type(id) === tokenTypes.normal) return words.bytes(token)
    return (type(id) === tokenTypes.byte ? namedByte(token) : null) ?? plain(token)
  }
  const stripping = stripsSpace(metadata)
  const bytes = (id: number): Uint8Array => known[id] ??= spelledBytes(id, spelling(id))
  const pieces = (): (id: number) => Uint8Array => {
    let first = words.spacePrefix
    return id => {
      const piece = bytes(id), isAdded = isControl(id) || type(id) === tokenTypes.userDefined
      const prefixed = first && !isAdded && piece[0] === 0x20
      first = words.spacePrefix && isAdded
      return prefixed ? piece.subarray(1) : piece
    }
  }

  return {
    size, bos, eos, endTokens, bytes,
    addBos: bos !== null && flag(metadata, 'tokenizer.ggml.add_bos_token', words.addBos),
    isSpecial: isControl,
    pieces,
    token: spelling,
    encode(source, { special = true } = {}) {
      const into: number[] = []
      const find = special ? added : userDefined
      const whole = wellFormed(source)
      const parts = find ? whole.split(find) : [whole] // odd ones are what `find` matched
      for (const [index, part] of parts.entries()) {
        if (index % 2) into.push(ids.get(part)!)
        else {
          const text = stripping && index && !keepsSpace.has(parts[index - 1]!) ? part.replace(/^[ \t-\r]+/, '') : part
          if (text) words.encode(text, into)
        }
      }
      return into
    },
    decode(ids, { skipSpecial = false } = {}) {
      const piece = pieces()
      const parts = ids.map(id => ({ id, bytes: piece(id) })).filter(({ id }) => !skipSpecial || !isControl(id)).map(part => part.bytes)
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

const within = (id: Id, size: number): Id => id !== null && id < size ? id : null

/** Phi 3 was trained without the space that stands after its own tokens; no key of a file says so, so llama.cpp goes by the name. */
const stripsSpace = (metadata: Metadata): boolean => /phi-?3/i.test(text(metadata, 'general.name', ''))
/** … of others. */
const keepsSpace: ReadonlySet<string> = new Set(['<unk>', '<s>', '<|endoftext|>'])

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
