// Networks of a real model's size without its file: seeded q4_0 blocks, made as they are read.
import type { ByteSource, Header, TensorInfo } from '../../src/gguf/index.ts'
import type { Kernels } from '../../src/kernels/index.ts'
import { readConfig, type Config } from '../../src/model/config.ts'
import { createNetwork, type Network } from '../../src/model/llama.ts'
import { loadWeights } from '../../src/model/weights.ts'
import { random } from '../cases.ts'
import { toHalf } from './quantize.ts'

/** Shape of Llama-3.2-1B, by its published configuration. */
export const llama1B = (layers = 16): Config => readConfig({
  version: 3, alignment: 32, bytes: 0,
  metadata: new Map<string, string | number>([
    ['general.architecture', 'llama'], ['general.name', `Llama-3.2-1B's shape, ${layers} layers`],
    ...Object.entries({ block_count: layers, embedding_length: 2048, feed_forward_length: 8192, context_length: 131072, 'attention.head_count': 32, 'attention.head_count_kv': 8,
      'attention.layer_norm_rms_epsilon': 1e-5, 'rope.freq_base': 500000 }).map(([key, value]): [string, number] => [`llama.${key}`, value]),
  ]),
  tensors: new Map([['token_embd.weight', { name: 'token_embd.weight', type: 'Q4_0', shape: [128256, 2048], offset: 0, bytes: 0 }]]),
})

const blockBytes = 18, blockValues = 32
/** Blocks that repeat. */
const patternBlocks = 4099

function pattern(columns: number): Uint8Array {
  const bytes = new Uint8Array(patternBlocks * blockBytes), next = random(columns)
  for (let i = 0; i < bytes.length; i++) bytes[i] = next() * 256
  // Codes of deviation 4.6 about −0.5, so that rows keep the size of their input.
  const scale = toHalf(1 / (4.6 * Math.sqrt(columns)))
  for (let b = 0; b < patternBlocks; b++) new DataView(bytes.buffer).setUint16(b * blockBytes, scale, true)
  return bytes
}

/** Tensors of a llama with tied output, matrices in Q4_0, norms of ones; and a source that makes their bytes. */
export function shaped(config: Config): { readonly header: Header; readonly source: ByteSource } {
  const { dim, hiddenDim, heads, kvHeads, headDim, layers, vocabulary } = config
  const tensors = new Map<string, TensorInfo>()
  let size = 0
  const add = (name: string, ...shape: number[]): void => {
    const vector = shape.length === 1
    const bytes = vector ? 4 * shape[0]! : shape[0]! * shape[1]! / blockValues * blockBytes
    tensors.set(name, { name, type: vector ? 'F32' : 'Q4_0', shape, offset: size, bytes })
    size += bytes
  }
  add('token_embd.weight', vocabulary, dim)
  for (let i = 0; i < layers; i++) {
    for (const norm of ['attn_norm', 'ffn_norm']) add(`blk.${i}.${norm}.weight`, dim)
    add(`blk.${i}.attn_q.weight`, heads * headDim, dim)
    for (const of of ['attn_k', 'attn_v']) add(`blk.${i}.${of}.weight`, kvHeads * headDim, dim)
    add(`blk.${i}.attn_output.weight`, dim, heads * headDim)
    for (const of of ['ffn_gate', 'ffn_up']) add(`blk.${i}.${of}.weight`, hiddenDim, dim)
    add(`blk.${i}.ffn_down.weight`, dim, hiddenDim)
  }
  add('output_norm.weight', dim)
  const all = [...tensors.values()], patterns = new Map([dim, hiddenDim, heads * headDim].map(columns => [columns, pattern(columns)]))
  const source: ByteSource = {
    name: config.name, size,
    async read(offset, into) {
      const tensor = all.find(t => offset >= t.offset && offset < t.offset + t.bytes)!
      if (tensor.shape.length === 1) return void new Uint8Array(into.buffer, into.byteOffset, into.length).set(new Uint8Array(new Float32Array(into.length / 4).fill(1).buffer))
      const bytes = patterns.get(tensor.shape[1]!)!
      for (let at = 0, from = (offset - tensor.offset) % bytes.length; at < into.length; from = 0) {
        const n = Math.min(into.length - at, bytes.length - from)
        into.set(bytes.subarray(from, from + n), at)
        at += n
      }
    },
    async close() {},
  }
  return { header: { version: 3, metadata: new Map(), tensors, alignment: 32, bytes: 0 }, source }
}

export async function shapedNetwork(k: Kernels, config: Config): Promise<Network> {
  const { header, source } = shaped(config)
  const weights = await loadWeights(k, source, header, config)
  return createNetwork(k, config, weights)
}
