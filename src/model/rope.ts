import { float, GgufError, integer, text, type Header } from '../gguf/index.ts'

/** One way to turn queries and keys: angles are position × base^(−2i / rotary) / divisors[i], cosine and sine are times `magnitude`. */
export interface Rope {
  readonly base: number
  /** The file's tensor of divisors [rotary / 2], or the divisors themselves; null where there are none. */
  readonly divisors: string | readonly number[] | null
  readonly magnitude: number
}

interface Given {
  readonly header: Header
  readonly architecture: string
  readonly rotary: number
  /** Tokens the model was trained on, and those it will be given. */
  readonly context: number
  readonly expected: number
}

/** The rotation that a file's metadata asks for. Divisors come from sums, products and quotients alone, so every engine has the same. */
export function readRope({ header, architecture, rotary, context, expected }: Given): Rope {
  const key = (name: string): string => `${architecture}.rope.${name}`
  const base = float(header, key('freq_base'), 10000)
  const plain = { base, divisors: header.tensors.has('rope_freqs.weight') ? 'rope_freqs.weight' : null, magnitude: 1 }
  const kind = header.metadata.has(key('scaling.type')) ? text(header, key('scaling.type')) : ['long', 'short'].some(length => header.tensors.has(`rope_factors_${length}.weight`)) ? 'longrope' : 'none'
  const original = (): number => integer(header, key('scaling.original_context_length'), context)
  const factor = (): number => positive(key('scaling.factor'), float(header, key('scaling.factor')))
  switch (kind) {
    case 'none': return plain
    case 'linear': return { ...plain, divisors: Array.from({ length: rotary / 2 }, factor) }
    case 'yarn': return {
      ...plain, divisors: yarnDivisors(rotary, base, factor(), original(),
        float(header, key('scaling.yarn_beta_fast'), 32), float(header, key('scaling.yarn_beta_slow'), 1)),
      magnitude: (0.1 * Math.log(factor()) + 1) * float(header, key('scaling.attn_factor'), 1),
    }
    // One choice for all that is read with these weights: rows that were turned one way cannot meet queries turned the other.
    case 'longrope': return {
      ...plain, divisors: `rope_factors_${expected > original() ? 'long' : 'short'}.weight`,
      magnitude: float(header, key('scaling.attn_factor'), 1),
    }
    default: throw new GgufError(`${key('scaling.type')} must be none, linear, yarn or longrope, got ${kind}`)
  }
}

/**
 * YaRN, arXiv:2309.00071, section 3.2: channels that turn more than `fast` times within the original context keep their frequency, those that
 * turn less than `slow` times have it divided by `factor`, a ramp lies between.
 */
function yarnDivisors(rotary: number, base: number, factor: number, original: number, fast: number, slow: number): number[] {
  const channelOf = (turns: number): number => rotary * Math.log(original / (turns * 2 * Math.PI)) / (2 * Math.log(base))
  const low = Math.max(0, Math.floor(channelOf(fast))), high = Math.min(rotary - 1, Math.ceil(channelOf(slow)))
  return Array.from({ length: rotary / 2 }, (_, i) => {
    const divided = Math.min(1, Math.max(0, (i - low) / Math.max(0.001, high - low)))
    return 1 / (1 - divided + divided / factor)
  })
}

function positive(name: string, value: number): number {
  if (!(value > 0)) throw new GgufError(`${name} must be positive, got ${value}`)
  return value
}
