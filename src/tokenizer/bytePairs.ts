import { Tokenizer as Library } from '@huggingface/tokenizers'
import { byteLevel } from './bytes.ts'
import { modelError } from './errors.ts'
import { text, texts, type Metadata } from './metadata.ts'
import { splitOf } from './splits.ts'
import type { Words } from './words.ts'

/** The vocabulary in the form of Hugging Face's tokenizer.json, without added tokens: `encode` cuts those out first. */
export function definition(metadata: Metadata): object {
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

/** `gpt2`: words are cut by the pattern of `tokenizer.ggml.pre`, their bytes merged in the order of the list. Nothing is normalised. */
export function bytePairs(metadata: Metadata): Words {
  const library = new Library(definition(metadata), {})
  return {
    encode(text, ids) {
      for (const id of library.encode(text, { add_special_tokens: false }).ids) ids.push(id)
    },
    bytes: byteLevel,
    addBos: splitOf(text(metadata, 'tokenizer.ggml.pre', 'default')).addBos,
    spacePrefix: false, bos: null, eos: null,
  }
}
