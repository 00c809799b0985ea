import type { Policy } from '../cache/policy.ts'
import type { Asked } from '../model/reading.ts'
import { answerBoth, answerTokens, twoRounds, type Tally, type TrialOptions } from './trial.ts'

export interface EvaluateOptions extends Pick<TrialOptions, 'model' | 'tokens' | 'questions' | 'seed' | 'signal' | 'progress'> {
  /** The full cache, which the others are compared with. */
  readonly full: Policy
  /** By the text that names them. */
  readonly methods: readonly { readonly text: string; readonly policy: Policy }[]
  readonly budgets: readonly number[]
}

/** What a method made of a document's questions at one budget. */
export interface Evaluated {
  readonly method: string
  /** null where the method has none. */
  readonly budget: number | null
  /** Tokens of the document. */
  readonly tokens: number
  readonly seed: number
  readonly questions: number
  readonly right: number
  readonly rightSecond: number
  /** Mean KL(full ‖ method) of the next token, in nats, while the right answer is read; the prompt's own last token is the same for all. */
  readonly divergence: number
  /** Perplexity of the right answer, its first token left out. */
  readonly perplexity: number
  /** After the prompt, means over the questions. */
  readonly kvBytes: number
  readonly kvBytesFull: number
  readonly rowsReadPerStep: number
  /** Full attention ran in the method's place for some question. */
  readonly dense: boolean
}

/** Logarithms of softmax(logits). */
function logProbabilities(logits: Float32Array): Float64Array {
  const top = logits.reduce((a, b) => Math.max(a, b), -Infinity)
  const total = Math.log(logits.reduce((sum, x) => sum + Math.exp(x - top), 0))
  return Float64Array.from(logits, x => x - top - total)
}

/** KL(p ‖ q) in nats, of logarithms of probabilities. */
const divergenceOf = (p: Float64Array, q: Float64Array): number => p.reduce((sum, x, i) => sum + Math.exp(x) * (x - q[i]!), 0)

/** Logarithms of the next token's probabilities [ids − 1][vocabulary] after each of `ids` but the last is read. */
async function forced(asked: Asked, policy: Policy, budget: number, ids: readonly number[], signal: AbortSignal | undefined): Promise<Float64Array[]> {
  const sequence = await asked.answer({ policy, budget, answer: answerTokens })
  try {
    const all: Float64Array[] = []
    for (const id of ids.slice(0, -1)) {
      signal?.throwIfAborted()
      await sequence.feed(id)
      all.push(logProbabilities(await sequence.logits()))
    }
    return all
  } finally {
    sequence.free()
  }
}

/**
 * Reads a seeded document once, and each question once on top of it; every method answers it at every budget, then a second question on what that left, and
 * reads the right answer token by token beside the full cache. Methods without a budget run once.
 */
export async function evaluate({ model, full, methods, budgets, tokens, questions, seed, signal, progress }: EvaluateOptions): Promise<Evaluated[]> {
  const { document, first, second } = twoRounds({ model, tokens, questions, seed })
  const watch = signal ? { signal } : {}
  const rows = methods.flatMap(({ text, policy }) => (policy.budget === 'none' ? budgets.slice(0, 1) : budgets).map(budget => ({
    text, policy, budget, fullBytes: 0, divergence: 0, surprise: 0,
    tally: { right: 0, second: 0, bytes: 0, rows: 0, decoded: 0, decodeMs: 0, dense: false } satisfies Tally as Tally,
  })))
  const reading = await model.read(document.text, { ...watch, progress: (done, total) => progress?.('reading', done, total) })
  let steps = 0, done = 0
  try {
    for (const [q, question] of first.entries()) {
      const asked = await reading.ask(model.encode({ document: document.text, prompt: question.question }), watch)
      try {
        const ids = model.tokenizer.encode(question.answer), expected = await forced(asked, full, 1, ids, signal)
        steps += expected.length
        for (const row of rows) {
          const { policy, budget, tally } = row
          const got = await forced(asked, policy, budget, ids, signal)
          got.forEach((q, i) => {
            row.divergence += divergenceOf(expected[i]!, q)
            row.surprise -= q[ids[i + 1]!]!
          })
          const sequence = await asked.answer({ policy, budget, answer: answerTokens })
          try {
            await answerBoth(model, sequence, question, second[q]!, tally, signal)
          } finally {
            sequence.free()
          }
          row.fullBytes += model.plan({ policy: full, tokens: asked.ids.length, answer: answerTokens, budget: 1 }).held
          progress?.('asking', ++done, first.length * rows.length)
        }
      } finally {
        asked.free()
      }
    }
  } finally {
    reading.free()
  }
  return rows.map(({ text, policy, budget, fullBytes, divergence, surprise, tally }) => ({
    method: text, budget: policy.budget === 'none' ? null : budget, tokens: document.tokens, seed, questions, right: tally.right, rightSecond: tally.second,
    divergence: divergence / steps, perplexity: Math.exp(surprise / steps), kvBytes: Math.round(tally.bytes / questions), kvBytesFull: Math.round(fullBytes / questions),
    rowsReadPerStep: tally.rows / questions, dense: tally.dense,
  }))
}
