import { readFileSync } from 'node:fs'
import type { Policy } from '../../src/cache/policy.ts'
import { load, type LoadOptions, type Model } from '../../src/load.ts'
import { full } from '../../src/methods/full.ts'
import { parseMethod } from '../../src/methods/index.ts'
import type { Sequence } from '../../src/model/sequence.ts'
import { random } from '../cases.ts'
import { randomLlama, type LlamaShape } from '../gguf/write.ts'
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

/** A small random llama in memory; by default three layers, two query heads to a KV head. */
export const llama = (shape: Partial<LlamaShape> = {}, options: LoadOptions = {}): Promise<Model> => load(randomLlama({
  layers: 3, heads: 4, kvHeads: 2, headDim: 32, dim: 64, hidden: 96, vocab: 320, context: 4096, type: 'Q8_0', tied: true, seed: 7, ...shape,
}), options)

/** Seeded ids below 320. */
export function someIds(n: number, seed = 1): number[] {
  const next = random(seed)
  return Array.from({ length: n }, () => Math.floor(next() * 320))
}

/** Every method with a budget that makes it work, whatever the lengths. */
export const working: readonly { readonly method: string; readonly budget: number }[] = [
  { method: 'full', budget: 1 }, { method: 'rocketkv', budget: 64 }, { method: 'rocketkv-mt', budget: 64 }, { method: 'hsa', budget: 64 },
  { method: 'snapkv', budget: 48 }, { method: 'snapkv,variant=kvpress', budget: 70 }, { method: 'chunkkv', budget: 48 },
  { method: 'chunkkv,variant=kvpress', budget: 80 }, { method: 'chunkkv,reuse=2', budget: 48 }, { method: 'streaming', budget: 40 },
  { method: 'quest', budget: 32 }, { method: 'quest,variant=rocketkv', budget: 64 }, { method: 'sparq', budget: 64 },
  { method: 'sparq,variant=rocketkv', budget: 64 }, { method: 'exact-topk', budget: 32 }, { method: 'exact-topk,variant=perQueryHead', budget: 32 },
]

/** The policy of a row of `working`. */
export const policyOf = ({ method }: { method: string }): Policy => parseMethod(method === 'full' ? method : `${method},dense=never`)
