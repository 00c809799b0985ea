import { blockType, dequantize, GgufError, type BlockName, type ByteSource, type Header, type TensorInfo } from '../gguf/index.ts'
import { integerLayout, layouts, packedBytes, type Kernels, type Layout, type Tensor } from '../kernels/index.ts'
import type { Config } from './config.ts'

/** A weight matrix [rows, columns] as products read it. */
export interface Matrix { readonly packed: Tensor; readonly layout: Layout; readonly rows: number; readonly columns: number }

export interface LayerWeights {
  readonly attentionNorm: Tensor // [dim]
  readonly query: Matrix // [heads · headDim, dim]
  readonly key: Matrix // [kvHeads · headDim, dim]
  readonly value: Matrix // [kvHeads · headDim, dim]
  readonly output: Matrix // [dim, heads · headDim]
  readonly feedForwardNorm: Tensor // [dim]
  readonly gate: Matrix // [hiddenDim, dim]
  readonly up: Matrix // [hiddenDim, dim]
  readonly down: Matrix // [dim, hiddenDim]
}

export interface Weights {
  readonly embedding: Matrix // [vocabulary, dim]
  readonly layers: readonly LayerWeights[]
  readonly norm: Tensor // [dim]
  /** The embedding itself where the file ties them. */
  readonly output: Matrix // [vocabulary, dim]
  /** Llama 3's divisors of the rotary frequencies [rotary / 2]; null where the file has none. */
  readonly ropeFactors: Tensor | null
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

/** Names and shapes of a layer's tensors, after the `blk.N.` of the file. */
const layerShapes = ({ dim, hiddenDim, heads, kvHeads, headDim }: Config): Shapes => ({
  attn_norm: [dim], attn_q: [heads * headDim, dim], attn_k: [kvHeads * headDim, dim], attn_v: [kvHeads * headDim, dim],
  attn_output: [dim, heads * headDim], ffn_norm: [dim], ffn_gate: [hiddenDim, dim], ffn_up: [hiddenDim, dim], ffn_down: [dim, hiddenDim],
})

/** Every tensor the network reads, by name, checked against the configuration before a byte is loaded. */
export function findTensors(header: Header, config: Config): Map<string, TensorInfo> {
  const wanted: Shapes = {
    'token_embd.weight': [config.vocabulary, config.dim], 'output_norm.weight': [config.dim],
    ...header.tensors.has('output.weight') ? { 'output.weight': [config.vocabulary, config.dim] } : {},
    ...header.tensors.has('rope_freqs.weight') ? { 'rope_freqs.weight': [config.rotary / 2] } : {},
  }
  const all: Record<string, readonly number[]> = { ...wanted }
  for (let i = 0; i < config.layers; i++)
    for (const [name, shape] of Object.entries(layerShapes(config))) all[`blk.${i}.${name}.weight`] = shape
  const found = new Map<string, TensorInfo>()
  for (const [name, shape] of Object.entries(all)) {
    const tensor = header.tensors.get(name)
    if (!tensor) throw new GgufError(`tensor ${name} must be there, got none`)
    blockType(tensor)
    if (tensor.shape.length !== shape.length || tensor.shape.some((d, i) => d !== shape[i]))
      throw new GgufError(`tensor ${name} must be [${shape.join(',')}], got [${tensor.shape.join(',')}]`)
    found.set(name, tensor)
  }
  const ignored = new Set(['rope_freqs.weight', ...found.keys()])
  const strange = [...header.tensors.keys()].find(name => !ignored.has(name))
  if (strange) throw new GgufError(`tensor ${strange} must be one that a ${config.architecture} network reads, got one more than those`)
  return found
}

/** Bytes that the weights take when packed. */
export function weightBytes(tensors: ReadonlyMap<string, TensorInfo>): number {
  let sum = 0
  for (const tensor of tensors.values())
    sum += tensor.shape.length === 1 ? tensor.shape[0]! * 4 : packedBytes(blockType(tensor).name, tensor.shape[0]!, tensor.shape[1]!)
  return sum
}

/** Bytes of the place that files are loaded through, a gap in memory later on: no larger than the largest tensor. */
export const loadingBytes = (tensors: ReadonlyMap<string, TensorInfo>): number =>
  Math.min(slabBytes, Math.max(...Array.from(tensors.values(), tensor => tensor.bytes)))

/** Layouts of the matrices. */
export const layoutsOf = (tensors: ReadonlyMap<string, TensorInfo>): Set<Layout> =>
  new Set([...tensors.values()].filter(tensor => tensor.shape.length > 1).map(tensor => blockType(tensor).name))

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

  async function matrix(name: string): Promise<Matrix> {
    const info = tensors.get(name)!
    const layout: BlockName = blockType(info).name
    const [rows, columns] = info.shape as [number, number]
    if (integerLayout(layout) && columns % 32) throw new GgufError(`tensor ${name} must have a multiple of 32 columns, got ${columns}`)
    const rowBytes = info.bytes / rows
    const slab = Math.max(8, Math.floor(waiting / rowBytes / 8) * 8)
    const place = slab * rowBytes > waiting ? k.tensor([slab * rowBytes], 'u8') : staging
    const packed = k.tensor([packedBytes(layout, rows, columns)], 'u8')
    for (let first = 0; first < rows; first += slab) {
      const n = Math.min(slab, rows - first)
      await read(info.offset + first * rowBytes, n * rowBytes, k.view(place) as Uint8Array)
      await k.once({ tokens: 0, position: 0 }, () => k.repack({ out: packed, source: place, layout: layouts[layout], rows: n, columns, first }))
    }
    if (place !== staging) k.free(place)
    return { packed, layout, rows, columns }
  }

  const embedding = await matrix('token_embd.weight')
  const layers: LayerWeights[] = []
  for (let i = 0; i < config.layers; i++) {
    const name = (part: string): string => `blk.${i}.${part}.weight`
    layers.push({
      attentionNorm: await vector(name('attn_norm')), query: await matrix(name('attn_q')), key: await matrix(name('attn_k')),
      value: await matrix(name('attn_v')), output: await matrix(name('attn_output')), feedForwardNorm: await vector(name('ffn_norm')),
      gate: await matrix(name('ffn_gate')), up: await matrix(name('ffn_up')), down: await matrix(name('ffn_down')),
    })
  }
  const norm = await vector('output_norm.weight')
  const output = tensors.has('output.weight') ? await matrix('output.weight') : embedding
  const ropeFactors = tensors.has('rope_freqs.weight') ? await vector('rope_freqs.weight') : null
  k.free(staging)
  return { embedding, layers, norm, output, ropeFactors, gap: waiting, layouts: layoutsOf(tensors) }
}
