import { createAttention, type Attention } from '../../src/cache/attention.ts'
import type { Planned } from '../../src/cache/plan.ts'
import type { Plan, Policy, Scores } from '../../src/cache/policy.ts'
import type { Kernels, RowType, Tensor } from '../../src/kernels/index.ts'
import { backends, start } from '../backends.ts'
import { normal } from '../cases.ts'

// Attention without a model, for tests: seeded rows, prompts, steps.

const started = new Map<string, Promise<Kernels>>()

/** Runs a body on every backend and on the reference. */
export async function everywhere(body: (k: Kernels) => Promise<void>): Promise<void> {
  for (const name of [...backends, 'reference']) await body(await on(name))
}

/** A backend, started once. */
export function on(name: string): Promise<Kernels> {
  const k = started.get(name) ?? start(name)
  started.set(name, k)
  return k
}

export interface Sizes { readonly heads: number; readonly kvHeads: number; readonly headDim: number }

/** Rows of some tokens: keys, values [tokens, kvHeads, headDim], queries [tokens, heads, headDim]. */
export interface Tokens { readonly n: number; readonly keys: Float32Array; readonly values: Float32Array; readonly queries: Float32Array }

/** Seeded rows. */
export function tokensOf(n: number, { heads, kvHeads, headDim }: Sizes, seed = 1): Tokens {
  return {
    n, keys: normal(n * kvHeads * headDim, seed), values: normal(n * kvHeads * headDim, seed + 1000),
    queries: normal(n * heads * headDim, seed + 2000),
  }
}

/** Tokens from … to − 1. */
export function part({ n, keys, values, queries }: Tokens, from: number, to = n): Tokens {
  const cut = (x: Float32Array): Float32Array => x.slice(x.length / n * from, x.length / n * to)
  return { n: to - from, keys: cut(keys), values: cut(values), queries: cut(queries) }
}

/** Golden rows [heads][tokens][headDim] of integers / 8 as [tokens, heads, headDim]. */
export function eighths(byHead: readonly (readonly (readonly number[])[])[]): Float32Array {
  return Float32Array.from(byHead[0]!.flatMap((_, t) => byHead.flatMap(rows => rows[t]!)), x => x / 8)
}

/** Reads a prompt and cuts it. Positions kept, [kvHeads][·]. */
export async function prompt(a: Attention, t: Tokens, answer = 16): Promise<number[][]> {
  a.plan(t.n, answer)
  await a.append(t.keys, t.values)
  await a.observe(t.queries)
  return a.compress()
}

/** Decodes tokens one by one: attention [tokens][heads × headDim], and the rows that each chose. */
export async function decode(a: Attention, t: Tokens): Promise<{ outs: Float32Array[]; rows: (number[][] | null)[] }> {
  const outs: Float32Array[] = [], rows: (number[][] | null)[] = []
  for (let i = 0; i < t.n; i++) {
    const { keys, values, queries } = part(t, i, i + 1)
    await a.append(keys, values)
    rows.push(await a.select(queries))
    outs.push(await a.attend(queries))
  }
  return { outs, rows }
}

export interface Served {
  readonly planned: Planned
  readonly kept: number[][]
  readonly outs: Float32Array[]
  readonly rows: (number[][] | null)[]
  readonly ledgers: readonly Awaited<ReturnType<Attention['ledger']>>[]
}

/** A prompt of `tokens` rows and the rest of `t` decoded. ledgers: after the prompt, after the last token. */
export async function serve(k: Kernels, sizes: Sizes, policy: Policy, t: Tokens, { tokens, budget, answer = t.n - tokens, kv = 'f32' }: { tokens: number; budget: number; answer?: number; kv?: RowType }): Promise<Served> {
  const a = createAttention({ kernels: k, ...sizes, policy, budget, kv })
  const first = part(t, 0, tokens)
  const planned = a.plan(tokens, answer)
  await a.append(first.keys, first.values)
  await a.observe(first.queries)
  const kept = await a.compress(), before = await a.ledger()
  const { outs, rows } = await decode(a, part(t, tokens))
  const ledgers = [before, await a.ledger()]
  a.free()
  return { planned, kept, outs, rows, ledgers }
}

/** The policy with a plan that is given. */
export const fixed = (policy: Policy, plan: Partial<Plan>): Policy => ({
  ...policy, dense: 'never',
  plan: request => ({ ...policy.plan(request), ...plan }),
})

/** The policy, and a way to read scores it has made: those the score stage gives, those the pools make of them. */
export function scored(policy: Policy): { policy: Policy; scores(k: Kernels): Promise<{ raw: Float32Array[]; pooled: Float32Array[] }>; free(k: Kernels): void } {
  const places: { raw?: Scores; pooled?: Scores } = {}
  function copy(k: Kernels, { tensor, sets, stride, tokens }: Scores): Scores {
    const own: Tensor = k.tensor([sets, stride], 'f32')
    k.pool({ out: own, scores: tensor, sets, stride, tokens, kernel: 1, maximum: 1 })
    return { tensor: own, sets, stride, tokens }
  }
  const read = async (k: Kernels, { tensor, sets, stride, tokens }: Scores): Promise<Float32Array[]> =>
    Promise.all(Array.from({ length: sets }, async (_, s) => await k.read(tensor, s * stride, tokens) as Float32Array))
  const { score } = policy
  if (!score) throw new TypeError(`${policy.name} must score its rows, got no score`)
  return {
    policy: {
      ...policy,
      score: { ...score, record(k, layer) {
        const scores = score.record(k, layer)
        places.raw = copy(k, scores)
        return scores
      } },
      pool(k, scores, layer) {
        const pooled = policy.pool(k, scores, layer)
        places.pooled = copy(k, pooled)
        return pooled
      },
    },
    scores: async k => ({ raw: await read(k, places.raw!), pooled: await read(k, places.pooled!) }),
    free: k => k.free(places.raw!.tensor, places.pooled!.tensor),
  }
}
