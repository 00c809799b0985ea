import { blockType, dequantize, GgufError, type ByteSource, type Header, type TensorInfo } from '../gguf/index.ts'
import { integerLayout, layouts, packedBytes, sources, type Kernels, type Layout, type Tensor } from '../kernels/index.ts'
import type { Config } from './config.ts'

/** A weight matrix [rows, columns] as products read it, and what is added to them: bias [rows]. */
export interface Matrix { readonly packed: Tensor; readonly layout: Layout; readonly rows: number; readonly columns: number; readonly bias: Tensor | null }

/** Norms are null where the architecture has none there. */
export interface LayerWeights {
  readonly attentionNorm: Tensor | null // [dim]
  readonly query: Matrix // [heads · headDim, dim]
  readonly key: Matrix // [kvHeads · headDim, dim]
  readonly value: Matrix // [kvHeads · headDim, dim]
  readonly queryNorm: Tensor | null // [headDim], or [heads · headDim]
  readonly keyNorm: Tensor | null // [headDim], or [kvHeads · headDim]
  readonly output: Matrix // [dim, heads · headDim]
  readonly attentionOutputNorm: Tensor | null // [dim]
  readonly feedForwardNorm: Tensor | null // [dim]
  readonly gate: Matrix // [hiddenDim, dim]
  readonly up: Matrix // [hiddenDim, dim]
  readonly down: Matrix // [dim, hiddenDim]
  readonly feedForwardOutputNorm: Tensor | null // [dim]
}

export interface Weights {
  readonly embedding: Matrix // [vocabulary, dim]
  readonly layers: readonly LayerWeights[]
  readonly norm: Tensor // [dim]
  /** The embedding itself where the file ties them. */
  readonly output: Matrix // [vocabulary, dim]
  /** Of each rope of the configuration, divisors of its frequencies [rotary / 2]; null where it has none. */
  readonly ropeFactors: readonly (Tensor | null)[]
  /** Bytes of the gap that loading left, and the matrices' layouts. */
  readonly gap: number
  readonly layouts: ReadonlySet<Layout>
}

export type LoadProgress = (loadedBytes: number, totalBytes: number) => void

/** Most bytes of the file that wait for packing at a time. */
const slabBytes = 4 << 20
/** What a tensor's place may take beyond its bytes. */
const alignmentBytes = 64

interface Shapes { readonly [name: string]: readonly number[] }

/** Divisors of rotary frequencies; which of them are read depends on the rope. */
const ropeTensors = ['rope_freqs.weight', 'rope_factors_long.weight', 'rope_factors_short.weight']

/** Names and shapes of a layer's tensors, after the `blk.N.` of the file. */
function layerShapes({ dim, hiddenDim, heads, kvHeads, headDim, fused, biases, norms, qkNorm }: Config): Shapes {
  const queries = heads * headDim, keys = kvHeads * headDim
  const before = norms !== 'after', after = norms !== 'before'
  return {
    ...before && { 'attn_norm.weight': [dim], 'ffn_norm.weight': [dim] },
    ...after && { 'post_attention_norm.weight': [dim], 'post_ffw_norm.weight': [dim] },
    ...qkNorm === 'head' && { 'attn_q_norm.weight': [headDim], 'attn_k_norm.weight': [headDim] },
    ...qkNorm === 'width' && { 'attn_q_norm.weight': [queries], 'attn_k_norm.weight': [keys] },
    ...biases && { 'attn_q.bias': [queries], 'attn_k.bias': [keys], 'attn_v.bias': [keys] },
    ...fused ? { 'attn_qkv.weight': [queries + 2 * keys, dim], 'ffn_up.weight': [2 * hiddenDim, dim] }
      : { 'attn_q.weight': [queries, dim], 'attn_k.weight': [keys, dim], 'attn_v.weight': [keys, dim], 'ffn_gate.weight': [hiddenDim, dim], 'ffn_up.weight': [hiddenDim, dim] },
    'attn_output.weight': [dim, queries], 'ffn_down.weight': [dim, hiddenDim],
  }
}

/** Every tensor the network reads, by name, checked against the configuration before a byte is loaded. */
export function findTensors(header: Header, config: Config): Map<string, TensorInfo> {
  const all: Record<string, readonly number[]> = {
    'token_embd.weight': [config.vocabulary, config.dim], 'output_norm.weight': [config.dim],
    ...header.tensors.has('output.weight') ? { 'output.weight': [config.vocabulary, config.dim] } : {},
  }
  for (const { divisors } of config.ropes) if (typeof divisors === 'string') all[divisors] = [config.rotary / 2]
  for (let i = 0; i < config.layers; i++)
    for (const [name, shape] of Object.entries(layerShapes(config))) all[`blk.${i}.${name}`] = shape
  const found = new Map<string, TensorInfo>()
  for (const [name, shape] of Object.entries(all)) {
    const tensor = header.tensors.get(name)
    if (!tensor) throw new GgufError(`tensor ${name} must be there, got none`)
    blockType(tensor)
    if (tensor.shape.length !== shape.length || tensor.shape.some((d, i) => d !== shape[i]))
      throw new GgufError(`tensor ${name} must be [${shape.join(',')}], got [${tensor.shape.join(',')}]`)
    found.set(name, tensor)
  }
  const ignored = new Set([...ropeTensors, ...found.keys()])
  const strange = [...header.tensors.keys()].find(name => !ignored.has(name))
  if (strange) throw new GgufError(`tensor ${strange} must be one that a ${config.architecture} network reads, got one more than those`)
  return found
}

/** Bytes that the weights take when packed. */
export function weightBytes(tensors: ReadonlyMap<string, TensorInfo>): number {
  let sum = 0
  for (const tensor of tensors.values())
    sum += tensor.shape.length === 1 ? tensor.shape[0]! * 4 : packedBytes(sources[blockType(tensor).name].layout, tensor.shape[0]!, tensor.shape[1]!)
  return sum
}

/** Bytes of the place that files are loaded through, a gap in memory later on: no larger than the largest tensor. */
export const loadingBytes = (tensors: ReadonlyMap<string, TensorInfo>): number =>
  Math.min(slabBytes, Math.max(...Array.from(tensors.values(), tensor => tensor.bytes)))

/** Layouts of the matrices. */
export const layoutsOf = (tensors: ReadonlyMap<string, TensorInfo>): Set<Layout> =>
  new Set([...tensors.values()].filter(tensor => tensor.shape.length > 1).map(tensor => sources[blockType(tensor).name].layout))

/** Reads every tensor once, slab by slab, straight into packed form. */
export async function loadWeights(k: Kernels, source: ByteSource, header: Header, config: Config, { progress, signal }: { progress?: LoadProgress; signal?: AbortSignal } = {}): Promise<Weights> {
  const tensors = findTensors(header, config)
  const total = [...tensors.values()].reduce((sum, tensor) => sum + tensor.bytes, 0)
  let loaded = 0
  const waiting = loadingBytes(tensors)
  k.reserve(weightBytes(tensors) + waiting + alignmentBytes * tensors.size)
  const staging = k.tensor([waiting], 'u8')

  async function read(at: number, bytes: number, into: Uint8Array): Promise<void> {
    await source.read(at, into.subarray(0, bytes), signal)
    loaded += bytes
    progress?.(loaded, total)
  }

  async function vector(name: string): Promise<Tensor> {
    const info = tensors.get(name)!
    const raw = new Uint8Array(info.bytes)
    await read(info.offset, info.bytes, raw)
    const values = new Float32Array(info.shape[0]!)
    dequantize(blockType(info).name, raw, values)
    const tensor = k.tensor(info.shape, 'f32')
    k.upload(tensor, values)
    return tensor
  }

  const optional = async (name: string): Promise<Tensor | null> => tensors.has(name) ? vector(name) : null

  /** Rows [from, from + rows) of a tensor; all unless told otherwise. */
  async function matrix(name: string, from = 0, rows = tensors.get(`${name}.weight`)!.shape[0]!): Promise<Matrix> {
    const info = tensors.get(`${name}.weight`)!
    const { type, layout } = sources[blockType(info).name]
    const columns = info.shape[1]!
    if (integerLayout(layout) && columns % 32) throw new GgufError(`tensor ${name} must have a multiple of 32 columns, got ${columns}`)
    const rowBytes = info.bytes / info.shape[0]!
    const slab = Math.max(8, Math.floor(waiting / rowBytes / 8) * 8)
    const place = slab * rowBytes > waiting ? k.tensor([slab * rowBytes], 'u8') : staging
    const packed = k.tensor([packedBytes(layout, rows, columns)], 'u8')
    for (let first = 0; first < rows; first += slab) {
      const n = Math.min(slab, rows - first)
      await read(info.offset + (from + first) * rowBytes, n * rowBytes, k.view(place) as Uint8Array)
      await k.once({ tokens: 0, position: 0 }, () => k.repack({ out: packed, source: place, type, layout: layouts[layout], rows: n, columns, first }))
    }
    if (place !== staging) k.free(place)
    return { packed, layout, rows, columns, bias: await optional(`${name}.bias`) }
  }

  /** Matrices that lie one under the other in a tensor. */
  async function stacked(name: string, rows: readonly number[]): Promise<Matrix[]> {
    const parts: Matrix[] = []
    for (const [i, n] of rows.entries()) parts.push(await matrix(name, rows.slice(0, i).reduce((a, b) => a + b, 0), n))
    return parts
  }

  async function readLayer(at: string): Promise<LayerWeights> {
    const queries = config.heads * config.headDim, keys = config.kvHeads * config.headDim
    const attentionNorm = await optional(`${at}attn_norm.weight`)
    const [query, key, value] = config.fused ? await stacked(`${at}attn_qkv`, [queries, keys, keys])
      : [await matrix(`${at}attn_q`), await matrix(`${at}attn_k`), await matrix(`${at}attn_v`)]
    const queryNorm = await optional(`${at}attn_q_norm.weight`), keyNorm = await optional(`${at}attn_k_norm.weight`)
    const output = await matrix(`${at}attn_output`)
    const attentionOutputNorm = await optional(`${at}post_attention_norm.weight`), feedForwardNorm = await optional(`${at}ffn_norm.weight`)
    const [gate, up] = config.fused ? await stacked(`${at}ffn_up`, [config.hiddenDim, config.hiddenDim]) : [await matrix(`${at}ffn_gate`), await matrix(`${at}ffn_up`)]
    const down = await matrix(`${at}ffn_down`), feedForwardOutputNorm = await optional(`${at}post_ffw_norm.weight`)
    return {
      attentionNorm, query: query!, key: key!, value: value!, queryNorm, keyNorm, output, attentionOutputNorm,
      feedForwardNorm, gate: gate!, up: up!, down, feedForwardOutputNorm,
    }
  }

  const embedding = await matrix('token_embd')
  const layers: LayerWeights[] = []
  for (let i = 0; i < config.layers; i++) layers.push(await readLayer(`blk.${i}.`))
  const norm = await vector('output_norm.weight')
  const output = tensors.has('output.weight') ? await matrix('output') : embedding
  const ropeFactors: (Tensor | null)[] = []
  for (const { divisors } of config.ropes) ropeFactors.push(typeof divisors === 'string' ? await vector(divisors) : divisors && given(k, divisors))
  k.free(staging)
  return { embedding, layers, norm, output, ropeFactors, gap: waiting, layouts: layoutsOf(tensors) }
}

function given(k: Kernels, numbers: readonly number[]): Tensor {
  const tensor = k.tensor([numbers.length], 'f32')
  k.upload(tensor, numbers)
  return tensor
}

/** Gives back all that `loadWeights` took. */
export function freeWeights(k: Kernels, { embedding, layers, norm, output, ropeFactors }: Weights): void {
  k.free(norm, ...ropeFactors, embedding.packed)
  if (output !== embedding) k.free(output.packed)
  for (const layer of layers)
    for (const part of Object.values(layer) as (Tensor | Matrix | null)[]) {
      if (part && 'packed' in part) k.free(part.packed, part.bias)
      else k.free(part)
    }
}
