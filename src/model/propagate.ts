import { fault } from '../cache/fault.ts'
import type { LayerCache } from '../cache/layer.ts'
import type { GoingOn } from '../cache/plan.ts'
import type { Shape } from '../cache/policy.ts'
import { rowTypes, type Kernels, type RowType, type Tensor } from '../kernels/index.ts'

/**
 * Token-selective propagation of FastKV, arXiv:2502.01068: up to one layer a prompt is read whole; from there on only the tokens go on that
 * the last `window` queries of that layer attend to most, and those queries' own. Positions stay as they were.
 */
export interface Propagation {
  readonly name: 'fastkv'
  readonly paper: string
  /** The layer after which tokens stay behind, from 0 on; null: about the middle, as 15 of 32. */
  readonly layer: number | null
  /** Share of the prompt's tokens that go on. */
  readonly rate: number
  readonly window: number
  /** Neighbours over which scores are averaged, odd. */
  readonly kernel: number
}

export interface FastkvOptions { readonly layer?: number; readonly rate?: number; readonly window?: number; readonly kernel?: number }

/** Queries that a window may have: as many as readings remember. */
const mostWindow = 128

/** Defaults are those of the authors' scripts. */
export function fastkv({ layer, rate = 0.2, window = 8, kernel = 7 }: FastkvOptions = {}): Propagation {
  if (layer !== undefined && !(Number.isInteger(layer) && layer >= 0)) throw fault('usage', `fastkv: layer must be a whole number from 0 on, got ${layer}`)
  if (!(rate > 0 && rate <= 1)) throw fault('usage', `fastkv: rate must be above 0 and at most 1, got ${rate}`)
  if (!(Number.isInteger(window) && window >= 1 && window <= mostWindow)) throw fault('usage', `fastkv: window must be a whole number from 1 to ${mostWindow}, got ${window}`)
  if (!(Number.isInteger(kernel) && kernel % 2 === 1 && kernel > 0)) throw fault('usage', `fastkv: kernel must be odd and positive, got ${kernel}`)
  return { name: 'fastkv', paper: 'arXiv:2502.01068', layer: layer ?? null, rate, window, kernel }
}

const parameters = ['layer', 'rate', 'window', 'kernel'] as const

/** A propagation from text: `fastkv`, or `fastkv,layer=15,rate=0.2`. */
export function parsePropagation(text: string): Propagation {
  const [name = '', ...pairs] = text.split(',').map(part => part.trim())
  if (name !== 'fastkv') throw fault('usage', `propagate must be fastkv, got ${name || 'nothing'}`)
  return fastkv(Object.fromEntries(pairs.map(pair => {
    const [key = '', value = '', ...rest] = pair.split('=')
    if (!(parameters as readonly string[]).includes(key)) throw fault('usage', `fastkv: parameter must be one of ${parameters.join(', ')}, got ${key || 'nothing'}`)
    if (rest.length || value === '' || !Number.isFinite(Number(value))) throw fault('usage', `fastkv: ${key} must be a number, got ${pair.slice(key.length + 1) || 'nothing'}`)
    return [key, Number(value)]
  })))
}

/** A propagation, or its text. */
export const propagationOf = (given: Propagation | string | undefined): Propagation | undefined => typeof given === 'string' ? parsePropagation(given) : given

/** Where and how many tokens of a prompt go on. last: newest tokens that a method wants to find in every layer. */
export function goingOn({ layer, rate, window }: Propagation, { layers, windows = [] }: Pick<Shape, 'layers' | 'windows'>, tokens: number, last: number): GoingOn {
  const slide = windows.filter(window => window > 0).length
  // A window counts tokens, of which some would be missing.
  if (slide) throw fault('usage', `fastkv: every layer of the model must see all tokens, got ${slide} of ${layers} that slide`)
  const at = layer ?? Math.max(0, Math.floor(layers / 2) - 1)
  if (at >= layers) throw fault('usage', `fastkv: layer must be below the model's ${layers}, got ${at}`)
  return { layer: at, tokens: Math.min(tokens, Math.max(window, last, Math.floor(tokens * rate))) }
}

interface Choice {
  readonly propagation: Propagation
  readonly shape: Shape
  readonly kv: RowType
  /** Its table counts the prompt's rows already, its heads do not. */
  readonly layer: LayerCache
  /** The last rotated queries, [window, heads, headDim]. */
  readonly ring: Tensor
  /** Tokens of this prompt, and those of them that go on; the last `last` are among them. */
  readonly tokens: number
  readonly keep: number
  readonly last: number
  /** Position after the last of them. */
  readonly seen: number
}

/** The prompt's tokens that go on, ascending from 0: by the attention of the window, averaged over neighbours, of all heads together. */
export async function tokensGoingOn(k: Kernels, { propagation, shape, kv, layer, ring, tokens, keep, last, seen }: Choice): Promise<number[]> {
  const { heads, kvHeads, headDim, scale } = shape
  const before = layer.heads[0]!.count, stride = before + tokens, window = Math.min(propagation.window, tokens)
  const places: Tensor[] = []
  const place = (dims: readonly number[], type: 'f32' | 'u32'): Tensor => {
    const t = k.tensor(dims, type)
    places.push(t)
    return t
  }
  try {
    const scores = place([kvHeads, stride], 'f32'), pooled = place([kvHeads, stride], 'f32')
    const rows = place([1, tokens], 'u32'), counts = place([1], 'u32'), wanted = place([1], 'u32')
    k.upload(wanted, [keep])
    // What came before this prompt takes part in the softmax and stays where it is: the fresh columns alone are chosen from.
    const fresh: Tensor = { ...scores, address: scores.address + 4 * before, bytes: 4 * tokens }
    await k.once({ tokens: 0, position: seen }, () => {
      k.scoreWindow({ out: scores, ring, segments: layer.table, sets: kvHeads, stride, tokens: stride, heads, kvHeads, headDim,
        type: rowTypes[kv], ringRows: ring.shape[0]!, window, scale, cap: shape.cap ?? 0 })
      k.pool({ out: pooled, scores, sets: kvHeads, stride, tokens: Math.max(1, stride - window), kernel: propagation.kernel, maximum: 0 })
      k.sumSets({ out: scores, scores: pooled, sets: kvHeads, stride, tokens: stride })
      k.topk({ rows, counts, scores: fresh, keep: wanted, sets: 1, stride, tokens, first: 0, last: Math.min(tokens, Math.max(window, last)), capacity: tokens })
    })
    return Array.from(await k.read(rows, 0, (await k.read(counts))[0]!))
  } finally {
    k.free(...places)
  }
}
