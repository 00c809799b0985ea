import { float, GgufError, integer, numbers, text, type Header } from '../gguf/index.ts'
import { readRope, type Rope } from './rope.ts'

/** What a network is, from the file's metadata. Counts, never bytes. */
export interface Config extends Family {
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
  /** Most tokens the model was trained on. */
  readonly context: number
  readonly vocabulary: number
  readonly epsilon: number
  /** Multiplies embeddings; what a block adds to the residual; query·key; logits. */
  readonly embeddingScale: number
  readonly residualScale: number
  readonly attentionScale: number
  readonly logitScale: number
  /** Scores and logits become cap × tanh(x / cap); 0: they stay. */
  readonly attentionCap: number
  readonly logitCap: number
  readonly ropes: readonly Rope[]
  /** What differs from layer to layer [layers]. */
  readonly kinds: readonly LayerKind[]
}

export interface LayerKind {
  /** Newest tokens that a query sees, itself among them; 0: all. */
  readonly window: number
  /** Which of the ropes turns queries and keys; null: none does. */
  readonly rope: number | null
}

/** How an architecture differs from a plain llama. `llama.ts` reads this; it never branches on names. */
interface Family {
  /** Which channels rotate together: neighbours (2c, 2c + 1), or halves (c, c + rotary / 2). */
  readonly pairs: 'neighbours' | 'halves'
  /** Queries, keys and values have one. */
  readonly biases: boolean
  /** Queries and keys are RMS-normalised before they rotate: head by head, or over the width of all heads. */
  readonly qkNorm: 'none' | 'head' | 'width'
  /** Where attention and feed-forward are normalised: their input, what they add to the residual, or both. */
  readonly norms: 'before' | 'after' | 'both'
  /** One matrix holds query, key and value, one gate and up. */
  readonly fused: boolean
  readonly activation: 'silu' | 'gelu'
}

/** A family and what its files leave unsaid. */
interface Row extends Family {
  /** Embeddings are multiplied by √dim. */
  readonly rootScale?: boolean
  /** The attention scale is of dim / heads instead of headDim in the model of so many layers. */
  readonly wideScale?: number
  readonly caps?: { readonly attention: number; readonly logits: number }
  /**
   * Where the file gives a sliding window (or this row does, `otherwise`): every `period`th layer sees all the same, none where it is 0. base: those
   * that slide have a rotary base of their own, unscaled; `same` is the base of the others.
   */
  readonly sliding?: { readonly period: number; readonly otherwise?: number; readonly base?: number | 'same' }
  /** Every so many layers one does not rotate. */
  readonly still?: number
}

const plain: Row = { pairs: 'neighbours', biases: false, qkNorm: 'none', norms: 'before', fused: false, activation: 'silu' }
const gemma: Row = { ...plain, pairs: 'halves', norms: 'both', activation: 'gelu', rootScale: true }

/** Every architecture that runs. docs/models.md has a line for each. */
const architectures: Readonly<Record<string, Row>> = {
  llama: plain,
  qwen2: { ...plain, pairs: 'halves', biases: true },
  qwen3: { ...plain, pairs: 'halves', qkNorm: 'head' },
  gemma2: { ...gemma, wideScale: 46, caps: { attention: 50, logits: 30 }, sliding: { period: 2, otherwise: 4096 } },
  gemma3: { ...gemma, wideScale: 62, qkNorm: 'head', sliding: { period: 6, base: 10000 } },
  phi3: { ...plain, pairs: 'halves', fused: true, sliding: { period: 0 } },
  smollm3: { ...plain, still: 4 },
  granite: plain,
  olmo2: { ...plain, pairs: 'halves', norms: 'after', qkNorm: 'width', sliding: { period: 4, base: 'same' } },
}

export const supportedArchitectures = (): string[] => Object.keys(architectures)

/** Letters that architectures of one family have in common at least. */
const familyLetters = 3

/** Of the architectures that run, one of the same family: `qwen3` for `qwen3moe`. Nothing where there is none. */
function nearest(architecture: string): string {
  const common = (name: string): number => {
    let n = 0
    while (n < name.length && name[n] === architecture[n]) n++
    return n
  }
  const [best] = supportedArchitectures().map(name => ({ name, letters: common(name) })).sort((a, b) => b.letters - a.letters)
  return best!.letters >= familyLetters ? `; nearest is ${best!.name}` : ''
}

/** The configuration, or a GgufError in one sentence that says what cannot be run and what can. expected: tokens it will be given, all it was trained on unless told. */
export function readConfig(header: Header, expected?: number): Config {
  const architecture = text(header, 'general.architecture')
  const row = architectures[architecture]
  if (!row) throw new GgufError(`architecture must be one of ${supportedArchitectures().join(', ')}, got ${architecture}${nearest(architecture)}`)
  const key = (name: string): string => `${architecture}.${name}`
  const whole = (name: string, otherwise?: number): number => {
    const value = integer(header, key(name), otherwise)
    if (value < 1) throw new GgufError(`${key(name)} must be positive, got ${value}`)
    return value
  }
  // Files write 0 where they mean what is usual.
  const scale = (name: string, otherwise: number): number => float(header, key(name), otherwise) || otherwise
  const dim = whole('embedding_length'), heads = whole('attention.head_count'), layers = whole('block_count'), context = whole('context_length')
  const kvHeads = whole('attention.head_count_kv', heads)
  if (heads % kvHeads) throw new GgufError(`${key('attention.head_count')} must be a multiple of the ${kvHeads} KV heads, got ${heads}`)
  const headDim = whole('attention.key_length', Math.floor(dim / heads))
  const valueDim = whole('attention.value_length', headDim)
  if (valueDim !== headDim) throw new GgufError(`keys and values must be equally long, got ${headDim} and ${valueDim} channels`)
  const rotary = whole('rope.dimension_count', headDim)
  if (rotary % 2 || rotary > headDim) throw new GgufError(`${key('rope.dimension_count')} must be even and at most ${headDim}, got ${rotary}`)
  if (header.metadata.has(key('expert_count')) && integer(header, key('expert_count')) > 0)
    throw new GgufError(`the model must be dense, got a mixture of ${integer(header, key('expert_count'))} experts`)
  const embedding = header.tensors.get('token_embd.weight')
  if (!embedding) throw new GgufError('tensor token_embd.weight must be there, got none')
  const { pairs, biases, qkNorm, norms, fused, activation, rootScale, wideScale, caps } = row
  return {
    pairs, biases, qkNorm, norms, fused, activation, architecture, name: text(header, 'general.name', ''),
    layers, dim, hiddenDim: whole('feed_forward_length'), heads, kvHeads, headDim, rotary,
    context, vocabulary: embedding.shape[0]!, epsilon: float(header, key('attention.layer_norm_rms_epsilon')),
    embeddingScale: scale('embedding_scale', rootScale ? Math.sqrt(dim) : 1),
    residualScale: scale('residual_scale', 1),
    attentionScale: scale('attention.scale', 1 / Math.sqrt(layers === wideScale ? dim / heads : headDim)),
    logitScale: 1 / scale('logit_scale', 1),
    attentionCap: float(header, key('attn_logit_softcapping'), caps?.attention ?? 0),
    logitCap: float(header, key('final_logit_softcapping'), caps?.logits ?? 0),
    ...readLayers(header, architecture, row, { layers, rotary, context, expected: expected ?? context }),
  }
}

/** The rotations of a network, and what its layers differ in. */
function readLayers(header: Header, architecture: string, { sliding, still }: Row, { layers, rotary, context, expected }: Pick<Config, 'layers' | 'rotary' | 'context'> & { readonly expected: number }): Pick<Config, 'ropes' | 'kinds'> {
  const key = (name: string): string => `${architecture}.${name}`
  const rope = readRope({ header, architecture, rotary, context, expected })
  const window = sliding ? integer(header, key('attention.sliding_window'), sliding.otherwise ?? 0) : 0
  if (window < 0) throw new GgufError(`${key('attention.sliding_window')} must not be negative, got ${window}`)
  const slides = window ? pattern(header, key('attention.sliding_window_pattern'), sliding!.period, layers) : []
  const own = window && sliding?.base !== undefined
  // One that is as long as every prompt hides nothing: such a layer is cut like any other.
  const hiding = window < Math.max(context, expected) ? window : 0
  const ropes = own ? [rope, { base: float(header, key('rope.freq_base_swa'), sliding.base === 'same' ? rope.base : sliding.base as number), divisors: null, magnitude: 1 }] : [rope]
  return {
    ropes,
    kinds: Array.from({ length: layers }, (_, i) => ({
      window: slides[i] ? hiding : 0,
      rope: still && (i + 1) % still === 0 ? null : own && slides[i] ? 1 : 0,
    })),
  }
}

/** Which layers slide: as the file lists them, else all but every `period`th; period 0: all. */
function pattern(header: Header, key: string, period: number, layers: number): boolean[] {
  const given = header.metadata.get(key)
  const every = typeof given === 'number' ? integer(header, key) : period
  const listed: ArrayLike<unknown> | null = given === undefined || typeof given === 'number' ? null : Array.isArray(given) ? given : numbers(header, key)
  if (listed && listed.length !== layers) throw new GgufError(`${key} must have one element per layer, ${layers}, got ${listed.length}`)
  return Array.from({ length: layers }, (_, i) => listed ? Boolean(listed[i]) : every === 0 || (i + 1) % every !== 0)
}
