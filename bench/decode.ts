import type { Ledger } from '../src/cache/ledger.ts'
import type { Policy } from '../src/cache/policy.ts'
import { parseMethod } from '../src/methods/index.ts'
import type { Network } from '../src/model/llama.ts'
import { createSequence, type Sequence, type SequenceOptions } from '../src/model/sequence.ts'
import { interleave, line, ratio, report, say, sink, timesOf, type Extra, type Options } from './harness.ts'
import { fill, type Filled } from './network.ts'

export const kv = 'i16', precision = 'fast'
/** Tokens of an answer that count, after one that does not. */
const answered = 48

/** What one sequence decodes with. */
export interface Method { readonly name: string; readonly budget: number }

const megabytes = (bytes: number): number => Number((bytes / 1e6).toFixed(1))
export const optionsFor = (policy: Policy, budget: number): SequenceOptions => ({ policy, budget, answer: answered + 2, kv, precision })
export const held = ({ kvBytes, kvBytesFull, rowsReadPerStep, dense }: Ledger) =>
  ({ 'MB held': megabytes(kvBytes), 'of full': Number((kvBytes / kvBytesFull).toFixed(3)), 'rows read': Math.round(rowsReadPerStep), ...dense ? { dense } : {} })

/** Sequences that go on from what was filled. Ends what it began where one fails. */
async function adopt(network: Network, { layers }: Filled, chosen: readonly Method[]): Promise<Sequence[]> {
  const { k, config } = network
  const logits = k.tensor([config.vocabulary], 'f32')
  const sequences: Sequence[] = []
  try {
    for (const { name, budget } of chosen) {
      const sequence = createSequence(network, optionsFor(parseMethod(name), budget))
      sequences.push(sequence)
      await sequence.adopt(layers, logits)
      sink(await sequence.next())
    }
  } catch (error) {
    for (const sequence of sequences) sequence.free()
    throw error
  } finally {
    k.free(logits)
  }
  return sequences
}

/** What one method came to. */
export interface Decoded extends Method { readonly tokensPerSecond: number; readonly timesFull: number; readonly ledger: Ledger }

/** Every method decodes from the same seeded rows, token by token in turn; the others are set against the first. more: what else its row tells. */
export async function decode(options: Options, network: Network, tokens: number, chosen: readonly Method[], row = 'decode', more: (name: string) => Extra = () => ({})): Promise<Decoded[]> {
  const filled = await fill(network, kv, tokens)
  let sequences: Sequence[] = []
  try {
    sequences = await adopt(network, filled, chosen)
    const times = await interleave(sequences.map(sequence => () => sequence.next()), { rounds: options.quick ? 12 : answered })
    const results: Decoded[] = []
    for (const [i, method] of chosen.entries()) {
      const { name, budget } = method, mine = timesOf(times[i]!)
      const timesFull = Number(ratio(times[0]!, times[i]!).toFixed(2)), ledger = await sequences[i]!.ledger()
      report(options, row, { tokens, method: name, ...name === 'full' ? {} : { budget } }, mine, { unit: 'tokens/s', amount: 1 },
        { ...i ? { 'times full': timesFull } : {}, ...held(ledger), ...more(name) })
      results.push({ ...method, tokensPerSecond: 1e3 / mine.median, timesFull, ledger })
    }
    return results
  } finally {
    for (const sequence of sequences) sequence.free()
    filled.free()
  }
}

/** One method at a short and at a long context, token by token in turn. */
export async function far(options: Options, network: Network, method: Method, short: number, long: number): Promise<void> {
  const fills: Filled[] = [], sequences: Sequence[] = []
  try {
    for (const tokens of [short, long]) {
      const filled = await fill(network, kv, tokens)
      fills.push(filled)
      sequences.push(...await adopt(network, filled, [method]))
    }
    const [near, away] = await interleave(sequences.map(sequence => () => sequence.next()), { rounds: options.quick ? 12 : answered })
    for (const [i, tokens] of [short, long].entries())
      report(options, 'far', { tokens, method: method.name, budget: method.budget }, timesOf([near!, away!][i]!), { unit: 'tokens/s', amount: 1 }, held(await sequences[i]!.ledger()))
    const quotient = Number(ratio(near!, away!).toFixed(3))
    line(options, { name: 'far ratio', method: method.name, budget: method.budget, short, long, ratio: quotient })
    say(options, `# ${method.name} ${method.budget} decodes at ${long} tokens ${quotient} times as fast as at ${short}`)
  } finally {
    for (const sequence of sequences) sequence.free()
    for (const filled of fills) filled.free()
  }
}
