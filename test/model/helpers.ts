import { readFileSync } from 'node:fs'
import type { Model } from '../../src/load.ts'
import type { Policy } from '../../src/cache/policy.ts'
import type { Sequence } from '../../src/model/sequence.ts'
import { full } from '../../src/methods/full.ts'
import { agreeing } from '../methods/helpers.ts'

/** A file of test/goldens. */
export const golden = <T>(name: string): T => JSON.parse(readFileSync(new URL(`../goldens/${name}`, import.meta.url), 'utf8')) as T

/** Greedy tokens, and how far the best logit was above the second at each. */
export interface Greedy { readonly ids: readonly number[]; readonly gapTop1Top2: readonly number[] }

/** Gap of logits below which two float32 forwards may choose differently. */
const clear = 0.05

/** Fails where `tokens` leave the golden's path at a token that was clearly the best. */
export function followsWhereClear(tokens: readonly number[], { ids, gapTop1Top2 }: Greedy, what: string): void {
  const same = agreeing(tokens, ids), gap = gapTop1Top2[same]
  if (same < Math.min(tokens.length, ids.length) && gap! > clear)
    throw new Error(`${what}: token ${same} is ${tokens[same]}, golden ${ids[same]} with a gap of ${gap}`)
}

/** The next `n` tokens; the end of a turn is a token as any other. */
export async function draw(sequence: Sequence, n: number): Promise<number[]> {
  const tokens: number[] = []
  while (tokens.length < n) tokens.push(await sequence.next())
  return tokens
}

interface Run { readonly ids: readonly number[]; readonly n: number; readonly policy?: Policy; readonly budget?: number; readonly answer?: number }

/** Reads ids and draws n tokens. */
export async function run(model: Model, { ids, n, policy = full(), budget = 64, answer = n }: Run): Promise<{ tokens: number[]; logits: Float32Array; kept: number[][][] }> {
  const sequence = model.sequence({ policy, budget, answer })
  try {
    await sequence.prefill(ids)
    const logits = await sequence.logits(), kept = await sequence.kept()
    return { tokens: await draw(sequence, n), logits, kept }
  } finally {
    sequence.free()
  }
}
