import { fault } from '../cache/fault.ts'

/** How the next token is drawn; the meaning of each number is llama.cpp's. */
export interface Sampling {
  /** 0 takes the most likely token. */
  readonly temperature: number
  /** Candidates that stay, by rank; 0: all. */
  readonly topK: number
  /** Candidates that stay, by summed probability; 1: all. */
  readonly topP: number
  /** Least probability of a candidate, as a share of the best one's; 0: any. */
  readonly minP: number
  /** Divides positive and multiplies negative logits of the last 64 tokens; 1: nothing. */
  readonly repeatPenalty: number
  readonly seed: number
}

export const greedy: Sampling = { temperature: 0, topK: 40, topP: 0.95, minP: 0.05, repeatPenalty: 1, seed: 0 }

/** Tokens that the repeat penalty looks back. */
export const penaltyWindow = 64

/** Defaults filled in, ranges checked. */
export function samplingOf(given: Partial<Sampling> = {}): Sampling {
  const s = { ...greedy, ...given }
  if (!(s.temperature >= 0 && s.temperature < Infinity)) throw fault('usage', `temperature must be 0 or more, got ${s.temperature}`)
  if (!(Number.isInteger(s.topK) && s.topK >= 0)) throw fault('usage', `top-k must be a whole number from 0 on, got ${s.topK}`)
  if (!(s.topP > 0 && s.topP <= 1)) throw fault('usage', `top-p must be above 0 and at most 1, got ${s.topP}`)
  if (!(s.minP >= 0 && s.minP <= 1)) throw fault('usage', `min-p must be from 0 to 1, got ${s.minP}`)
  if (!(s.repeatPenalty > 0 && s.repeatPenalty < Infinity)) throw fault('usage', `repeat-penalty must be above 0, got ${s.repeatPenalty}`)
  if (!Number.isSafeInteger(s.seed)) throw fault('usage', `seed must be a whole number, got ${s.seed}`)
  return s
}
