// Random llama models of any shape, a few kilobytes large, with a byte-level vocabulary that reads any text.
import { dequantize, type BlockName } from '../../src/gguf/index.ts'
import { quantize, writeGguf, type Writable, type WritableTensor } from './write.ts'

export interface LlamaShape {
  layers: number
  heads: number
  kvHeads: number
  headDim: number
  dim: number
  /** width of the feed-forward layer */
  hidden: number
  /** at least 259: three special tokens and all bytes; what is more comes from merges */
  vocab: number
  context: number
  /** of all matrices; norms and rope factors are F32 */
  type: BlockName
  /** of a matrix by its name, where they differ */
  types?: (name: string) => BlockName
  /** Matrices are written as F32, with the values that their types would hold. */
  widened?: boolean
  /** the output head is the embedding */
  tied: boolean
  seed: number
  /** [headDim / 2], written as rope_freqs.weight */
  ropeFactors?: readonly number[]
  /** in place of ChatML */
  template?: string
}

const specials = ['<|endoftext|>', '<|im_start|>', '<|im_end|>']
const chatml = `{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}`

export function randomLlama(shape: LlamaShape): Uint8Array<ArrayBuffer> {
  const { layers, heads, kvHeads, headDim, dim, hidden, vocab, context, type, types = () => type, widened = false, tied, seed, ropeFactors, template = chatml } = shape
  const random = normal(seed)
  const { tokens, merges } = vocabulary(vocab)
  const metadata: Record<string, Writable> = {
    'general.architecture': 'llama',
    'general.name': `random llama ${seed}`,
    'llama.vocab_size': vocab,
    'llama.context_length': context,
    'llama.embedding_length': dim,
    'llama.block_count': layers,
    'llama.feed_forward_length': hidden,
    'llama.attention.head_count': heads,
    'llama.attention.head_count_kv': kvHeads,
    'llama.attention.key_length': headDim,
    'llama.attention.value_length': headDim,
    'llama.attention.layer_norm_rms_epsilon': { type: 'f32', value: 1e-5 },
    'llama.rope.dimension_count': headDim,
    'llama.rope.freq_base': { type: 'f32', value: 10000 },
    'tokenizer.ggml.model': 'gpt2',
    'tokenizer.ggml.pre': 'smollm',
    'tokenizer.ggml.tokens': tokens,
    'tokenizer.ggml.token_type': Int32Array.from(tokens, (_, id) => id < specials.length ? 3 : 1), // control, normal
    'tokenizer.ggml.merges': merges,
    'tokenizer.ggml.bos_token_id': 1,
    'tokenizer.ggml.eos_token_id': 2,
    'tokenizer.ggml.padding_token_id': 0,
    'tokenizer.ggml.unknown_token_id': 0,
    'tokenizer.ggml.add_bos_token': false,
    'tokenizer.chat_template': template,
  }
  /** Rows that keep the size of their input, on average. */
  function matrix(name: string, rows: number, columns: number): WritableTensor {
    const values = Float32Array.from({ length: rows * columns }, () => random() / Math.sqrt(columns)), type = types(name)
    if (!widened) return { name, shape: [rows, columns], type, values }
    dequantize(type, quantize(type, values, columns), values)
    return { name, shape: [rows, columns], type: 'F32', values }
  }
  const vector = (name: string, values: Iterable<number>): WritableTensor => {
    const f32 = Float32Array.from(values)
    return { name, shape: [f32.length], type: 'F32', values: f32 }
  }
  const norm = (name: string): WritableTensor => vector(name, Array.from({ length: dim }, () => 1 + 0.1 * random()))

  const tensors = [matrix('token_embd.weight', vocab, dim)]
  for (let layer = 0; layer < layers; layer++) {
    const at = `blk.${layer}.`
    tensors.push(
      norm(`${at}attn_norm.weight`),
      matrix(`${at}attn_q.weight`, heads * headDim, dim),
      matrix(`${at}attn_k.weight`, kvHeads * headDim, dim),
      matrix(`${at}attn_v.weight`, kvHeads * headDim, dim),
      matrix(`${at}attn_output.weight`, dim, heads * headDim),
      norm(`${at}ffn_norm.weight`),
      matrix(`${at}ffn_gate.weight`, hidden, dim),
      matrix(`${at}ffn_up.weight`, hidden, dim),
      matrix(`${at}ffn_down.weight`, dim, hidden),
    )
  }
  tensors.push(norm('output_norm.weight'))
  if (!tied) tensors.push(matrix('output.weight', vocab, dim))
  if (ropeFactors) tensors.push(vector('rope_freqs.weight', ropeFactors))
  return writeGguf({ metadata, tensors })
}

/** Specials, then bytes by the GPT-2 table, then what merges of two tokens make: space and letter, letter pairs, triples. */
function vocabulary(vocab: number): { tokens: string[]; merges: string[] } {
  const tokens = [...specials, ...byteLetters()], merges: string[] = []
  if (vocab < tokens.length) throw new RangeError(`vocabulary: vocab must be at least ${tokens.length}, got ${vocab}`)
  const letters = [...'etaoinshrdlcumwfgypbvk'], seen = new Set(tokens)
  let left = ['Ġ', ...letters]
  while (tokens.length < vocab) {
    const made: string[] = []
    for (const a of left) {
      for (const b of letters) {
        if (tokens.length === vocab) return { tokens, merges }
        if (seen.has(a + b)) continue
        seen.add(a + b)
        tokens.push(a + b)
        made.push(a + b)
        merges.push(`${a} ${b}`)
      }
    }
    left = made
  }
  return { tokens, merges }
}

/** The letter that stands for each byte: itself where it prints, else the next one from U+0100. */
function byteLetters(): string[] {
  let next = 256
  return Array.from({ length: 256 }, (_, byte) => {
    const prints = byte >= 33 && byte <= 126 || byte >= 161 && byte <= 172 || byte >= 174
    return String.fromCharCode(prints ? byte : next++)
  })
}

/** Numbers of mean 0 and variance 1, the same for the same seed: a sum of four uniform ones. */
export function normal(seed: number): () => number {
  let state = seed | 0
  const uniform = (): number => { // a Weyl sequence through a multiplying hash
    state = state + 0x9e3779b9 | 0
    let x = Math.imul(state ^ state >>> 16, 0x21f0aaad)
    x = Math.imul(x ^ x >>> 15, 0x735a2d97)
    return ((x ^ x >>> 15) >>> 0) / 2 ** 32 - 0.5
  }
  return () => (uniform() + uniform() + uniform() + uniform()) * Math.sqrt(3)
}
