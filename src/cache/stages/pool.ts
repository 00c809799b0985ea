import type { Layer, Pool, Scores } from '../policy.ts'
import { asFull, named } from './name.ts'
import type { Kernels } from '../../kernels/index.ts'

/** Scores as they are. */
export const asIs = (): Pool => named(asFull, (_, scores) => scores)

const pooled = (kernel: number, maximum: number, what: string): Pool => {
  if (!(kernel > 0 && kernel % 2)) throw new RangeError(`${what}: kernel must be odd and positive, got ${kernel}`)
  return named(`${maximum ? 'maximum' : 'average'} (${kernel})`, (k, scores, { temporary, window }) => {
    const { sets, stride, tokens } = scores
    const out = temporary('pooled', [sets, stride], 'f32')
    // The window stays whatever its score: neighbours of the prefix's last rows end where the prefix ends.
    k.pool({ out, scores: scores.tensor, sets, stride, tokens: Math.max(1, tokens - window), kernel, maximum })
    return { ...scores, tensor: out }
  })
}

/** The largest score among `kernel` neighbours. */
export const maximumPool = (kernel: number): Pool => pooled(kernel, 1, 'maximumPool')

/** The mean over `kernel` neighbours; beyond the ends there are zeros. */
export const averagePool = (kernel: number): Pool => pooled(kernel, 0, 'averagePool')

function summed(k: Kernels, scores: Scores, { temporary }: Layer): Scores {
  const out = temporary('shared', [1, scores.stride], 'f32')
  k.sumSets({ out, scores: scores.tensor, sets: scores.sets, stride: scores.stride, tokens: scores.tokens })
  return { ...scores, tensor: out, sets: 1 }
}

/** One score for all KV heads: their sum. */
export const sharedHeads = (): Pool => summed

/** Every token gets the sum or the mean over its chunk, of all KV heads together. ChunkKV, arXiv:2502.00299, Algorithm 1. */
export function chunks(chunk: number, by: 'sum' | 'mean'): Pool {
  if (!(chunk > 0)) throw new RangeError(`chunks: chunk must be positive, got ${chunk}`)
  return named(`${by} of chunk (${chunk})`, (k, scores, layer) => {
    const all = summed(k, scores, layer)
    const out = layer.temporary('chunks', [1, all.stride], 'f32')
    k.chunkScore({ out, scores: all.tensor, sets: 1, stride: all.stride, tokens: Math.max(1, all.tokens - layer.window), chunk, mean: by === 'mean' ? 1 : 0 })
    return { ...all, tensor: out }
  })
}

/** Scores as means over window and group, the window's own one above the highest of all: how kvpress lets the window take part in chunks. */
export const windowOnTop: Pool = (k, scores, { shape, window }) => {
  const { tensor, sets, stride, tokens } = scores
  k.raiseLast({ scores: tensor, sets, stride, tokens, last: window, scale: 1 / (window * shape.heads / shape.kvHeads) })
  return scores
}
