import { float, GgufError, integer, text, type Header } from '../gguf/index.ts'

/** What a network is, from the file's metadata. Counts, never bytes. */
export interface Config {
  readonly architecture: string
  readonly name: string
  readonly layers: number
  /** Model width. */
  readonly dim: number
  /** Feed-forward width. */
  readonly hiddenDim: number
  readonly heads: number
  /** Divides heads. */
  readonly kvHeads: number
  readonly headDim: number
  /** Channels of a head that rotate; the first ones. */
  readonly rotary: number
  /** Which channels rotate together: neighbours (2c, 2c + 1), or halves (c, c + rotary / 2). */
  readonly pairs: 'neighbours' | 'halves'
  readonly ropeBase: number
  /** Most tokens the model was trained on. */
  readonly context: number
  readonly vocabulary: number
  readonly epsilon: number
}

/** How an architecture is read. `forward` reads the row; it never branches on names. */
const architectures: Readonly<Record<string, Pick<Config, 'pairs'>>> = {
  llama: { pairs: 'neighbours' },
}

export const supportedArchitectures = (): string[] => Object.keys(architectures)

/** The configuration, or a GgufError in one sentence that says what cannot be run and what can. */
export function readConfig(header: Header): Config {
  const architecture = text(header, 'general.architecture')
  const row = architectures[architecture]
  if (!row) throw new GgufError(`architecture must be one of ${supportedArchitectures().join(', ')}, got ${architecture}`)
  const key = (name: string): string => `${architecture}.${name}`
  const whole = (name: string, otherwise?: number): number => {
    const value = integer(header, key(name), otherwise)
    if (value < 1) throw new GgufError(`${key(name)} must be positive, got ${value}`)
    return value
  }
  const dim = whole('embedding_length'), heads = whole('attention.head_count')
  const kvHeads = whole('attention.head_count_kv', heads)
  if (heads % kvHeads) throw new GgufError(`${key('attention.head_count')} must be a multiple of the ${kvHeads} KV heads, got ${heads}`)
  const headDim = whole('attention.key_length', Math.floor(dim / heads))
  const valueDim = whole('attention.value_length', headDim)
  if (valueDim !== headDim) throw new GgufError(`keys and values must be equally long, got ${headDim} and ${valueDim} channels`)
  const rotary = whole('rope.dimension_count', headDim)
  if (rotary % 2 || rotary > headDim) throw new GgufError(`${key('rope.dimension_count')} must be even and at most ${headDim}, got ${rotary}`)
  const scaling = header.metadata.has(key('rope.scaling.type')) ? text(header, key('rope.scaling.type')) : 'none'
  if (scaling !== 'none') throw new GgufError(`${key('rope.scaling.type')} must be none (Llama 3's factors are read from rope_freqs.weight), got ${scaling}`)
  if (header.metadata.has(key('expert_count')) && integer(header, key('expert_count')) > 0)
    throw new GgufError(`the model must be dense, got a mixture of ${integer(header, key('expert_count'))} experts`)
  const embedding = header.tensors.get('token_embd.weight')
  if (!embedding) throw new GgufError('tensor token_embd.weight must be there, got none')
  return {
    ...row, architecture, name: text(header, 'general.name', ''),
    layers: whole('block_count'), dim, hiddenDim: whole('feed_forward_length'), heads, kvHeads, headDim, rotary,
    ropeBase: float(header, key('rope.freq_base'), 10000), context: whole('context_length'),
    vocabulary: embedding.shape[0]!, epsilon: float(header, key('attention.layer_norm_rms_epsilon')),
  }
}

