import type { Policy } from '../cache/policy.ts'
import type { Model } from '../load.ts'
import type { Asked, Reading } from '../model/reading.ts'
import type { Sequence } from '../model/sequence.ts'
import { makeDocument, makeQuestions, type Document, type Fact } from './corpus.ts'
import { fault } from '../cache/fault.ts'

/** Most tokens of an answer: the longest of the corpus has 17. */
export const answerTokens = 24
/** Facts of a short document: enough for two rounds of questions. */
const leastFacts = 40

export interface TrialOptions {
  readonly model: Model
  readonly policies: readonly Policy[]
  readonly budget: number
  /** Tokens of the document. */
  readonly tokens: number
  readonly questions: number
  readonly seed: number
  readonly signal?: AbortSignal
  /** phase: `reading` counts tokens, `asking` counts answers. */
  readonly progress?: (phase: 'reading' | 'asking', done: number, total: number) => void
}

/** What one method made of the questions. Bytes and rows are means over the first questions. */
export interface TrialRow {
  readonly method: string
  readonly parameters: Policy['parameters']
  readonly budget: number
  readonly right: number
  readonly rightSecond: number
  readonly kvBytes: number
  readonly kvBytesPeak: number
  readonly rowsReadPerStep: number
  readonly decodeTokensPerSecond: number
  readonly prefillTokensPerSecond: number
  readonly dense: boolean
}

export interface Trial { readonly tokens: number; readonly questions: number; readonly rows: readonly TrialRow[] }

/** Sums over the questions of one method. */
export interface Tally { right: number; second: number; bytes: number; rows: number; decoded: number; decodeMs: number; dense: boolean }

/** A seeded document, and questions about it for two rounds, none asked twice. */
export function twoRounds({ model, tokens, questions, seed }: Pick<TrialOptions, 'model' | 'tokens' | 'questions' | 'seed'>): { document: Document; first: Fact[]; second: Fact[] } {
  const count = (text: string): number => model.tokenizer.encode(text).length
  const usual = Math.max(8, Math.min(200, Math.floor(tokens / 100)))
  const document = makeDocument({ tokens, seed, count, facts: Math.max(leastFacts, usual) })
  const askable = Math.floor(document.facts.filter(fact => fact.kind !== 'quote').length / 2)
  if (questions > askable)
    throw fault('usage', `questions must be at most ${askable} for a document of ${tokens} tokens, got ${questions}`)
  const first = makeQuestions(document, questions, seed)
  const second = makeQuestions({ ...document, facts: document.facts.filter(fact => !first.includes(fact)) }, questions, seed + 1)
  return { document, first, second }
}

/**
 * Reads a seeded document once; reads each question once on top of it, for all methods; answers it under every method; then asks each of
 * them a second question, on what the first has left of its cache.
 */
export async function trial({ model, policies, budget, tokens, questions, seed, signal, progress }: TrialOptions): Promise<Trial> {
  const { document, first, second } = twoRounds({ model, tokens, questions, seed })
  const watch = signal ? { signal } : {}

  const started = performance.now()
  const reading: Reading = await model.read(document.text, { ...watch, progress: (done, total) => progress?.('reading', done, total) })
  const prefillTokensPerSecond = reading.ids.length / (performance.now() - started) * 1e3
  const tallies: Tally[] = policies.map(() => ({ right: 0, second: 0, bytes: 0, rows: 0, decoded: 0, decodeMs: 0, dense: false }))
  let peakTokens = 0
  for (const [q, question] of first.entries()) {
    const asked: Asked = await reading.ask(model.encode({ document: document.text, prompt: question.question }), watch)
    peakTokens = asked.ids.length
    for (const [p, policy] of policies.entries()) {
      const sequence = await asked.answer({ policy, budget, answer: answerTokens })
      try {
        await answerBoth(model, sequence, question, second[q]!, tallies[p]!, signal)
      } finally {
        sequence.free()
      }
      progress?.('asking', q * policies.length + p + 1, first.length * policies.length)
    }
    asked.free()
  }
  reading.free()
  const rows = policies.map((policy, p): TrialRow => {
    const t = tallies[p]!
    const { peak } = model.plan({ policy, tokens: peakTokens, answer: answerTokens, budget })
    return {
      method: policy.name, parameters: policy.parameters, budget, right: t.right, rightSecond: t.second, kvBytes: Math.round(t.bytes / questions),
      kvBytesPeak: Math.max(peak, Math.round(t.bytes / questions)), rowsReadPerStep: t.rows / questions,
      decodeTokensPerSecond: t.decodeMs ? t.decoded / t.decodeMs * 1e3 : 0, prefillTokensPerSecond, dense: t.dense,
    }
  })
  return { tokens: document.tokens, questions, rows }
}

/** Answers a question and then another on what the first left. */
export async function answerBoth(model: Model, sequence: Sequence, first: Fact, second: Fact, tally: Tally, signal?: AbortSignal): Promise<void> {
  const one = await answer(model, sequence, signal)
  const ledger = await sequence.ledger()
  tally.right += Number(one.text === first.answer)
  tally.bytes += ledger.afterPrefill.kvBytes
  tally.rows += ledger.rowsReadPerStep
  tally.decoded += one.decoded
  tally.decodeMs += one.decodeMs
  tally.dense ||= ledger.dense
  await sequence.prefill(model.tokenizer.encode(`\n<|im_start|>user\n${second.question}<|im_end|>\n<|im_start|>assistant\n`), { signal })
  tally.second += Number((await answer(model, sequence, signal)).text === second.answer)
}

/** A greedy answer. decodeMs starts after the first token. */
async function answer(model: Model, sequence: Sequence, signal?: AbortSignal): Promise<{ text: string; decoded: number; decodeMs: number }> {
  const ids: number[] = [await sequence.next(signal)]
  const started = performance.now()
  while (!model.tokenizer.endTokens.has(ids.at(-1)!) && ids.length < answerTokens) ids.push(await sequence.next(signal))
  return { text: model.tokenizer.decode(ids, { skipSpecial: true }), decoded: ids.length - 1, decodeMs: performance.now() - started }
}
