import { readFileSync } from 'node:fs'
import { trial } from '../src/demo/trial.ts'
import { rowTypes, type RowType } from '../src/kernels/index.ts'
import { load, type Model } from '../src/load.ts'
import { parseMethod } from '../src/methods/index.ts'
import { createSequence, type Sequence } from '../src/model/sequence.ts'
import { wasm } from '../src/wasm/index.ts'
import { divergence } from '../test/model/divergence.ts'
import { tiny } from '../test/models.ts'
import { interleave, ratio, report, say, sink, timesOf, type Options } from './harness.ts'
import { fill, modelName, modelPath, openNetwork } from './network.ts'

/** `i16` first: what the others are set against. */
const types: readonly RowType[] = ['i16', ...(Object.keys(rowTypes) as RowType[]).filter(kv => kv !== 'i16')]
/** Tokens of the text that are fed one by one on what the cache holds of those before. */
const fed = 96
/** A document on which full attention answers every question. */
const documentSeed = 8

const megabytes = (bytes: number): number => Number((bytes / 1e6).toFixed(2))
const mean = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0) / values.length

/** What each cache type costs: error, answers, bytes, time. Two minutes with the 135M model. */
export async function bench(options: Options): Promise<void> {
  const wanted = (name: string): boolean => name.includes(options.only)
  if (wanted('error')) await error(options)
  if (wanted('answers')) await answers(options)
  if (wanted('decode')) for (const tokens of options.quick ? [4096] : [4096, 16_384]) await decode(options, tokens)
}

/** KL(i16‖type) of the next token, in nats, over the end of a text, under full attention and under RocketKV. */
async function error(options: Options): Promise<void> {
  say(options, `# ${modelName}`)
  const { cases } = JSON.parse(readFileSync(new URL('../test/goldens/model/perplexity.json', import.meta.url), 'utf8')) as { cases: { name: string; text: string }[] }
  const model = await load(modelPath)
  for (const { name, text } of options.quick ? cases.slice(0, 1) : cases)
    for (const method of ['full', 'rocketkv']) {
      const ids = model.encode({ prompt: text, raw: true }), { network } = model
      const sequences = types.map(kv => createSequence(network, { policy: parseMethod(method), budget: 128, answer: fed, kv, precision: 'fast' }))
      for (const sequence of sequences) await sequence.prefill(ids.slice(0, -fed))
      const kl: number[][] = types.map(() => []), same = types.map(() => 0)
      let at = ids.length - fed
      const logits: Float32Array[] = []
      const times = await interleave(sequences.map((sequence, i) => async () => {
        await sequence.feed(ids[at]!)
        logits[i] = await sequence.logits()
        kl[i]!.push(divergence(logits[0]!, logits[i]!))
        same[i]! += Number(best(logits[0]!) === best(logits[i]!))
        if (i === types.length - 1) at++
      }), { rounds: fed - 1 })
      for (const [i, kv] of types.entries()) {
        const ledger = await sequences[i]!.ledger()
        report(options, 'error', { text: name, method, tokens: ids.length, kv }, timesOf(times[i]!), { unit: 'tokens/s', amount: 1 },
          { 'mean KL': Number(mean(kl[i]!).toExponential(2)), 'largest KL': Number(Math.max(...kl[i]!).toExponential(2)), 'same token': `${same[i]}/${fed}`, ...held(ledger) })
      }
      for (const sequence of sequences) sequence.free()
    }
  model.free()
}

const best = (logits: Float32Array): number => logits.reduce((top, x, i) => x > logits[top]! ? i : top, 0)
const held = ({ kvBytes, kvBytesFull }: { kvBytes: number; kvBytesFull: number }) => ({ 'MB held': megabytes(kvBytes), 'of full': Number((kvBytes / kvBytesFull).toFixed(3)) })

/** The embedded model's answers about a document. */
async function answers(options: Options): Promise<void> {
  for (const kv of types) {
    const model: Model = await load(tiny, { kv })
    const questions = 12, start = performance.now()
    const { rows, tokens } = await trial({ model, policies: ['full', 'rocketkv', 'rocketkv-mt', 'quest'].map(parseMethod), budget: 256, tokens: options.quick ? 2048 : 8192, questions, seed: documentSeed })
    for (const row of rows)
      report(options, 'answers', { tokens, method: row.method, kv }, timesOf([performance.now() - start]), null,
        { right: `${row.right}/${questions}`, second: `${row.rightSecond}/${questions}`, 'MB held': megabytes(row.kvBytes) })
    model.free()
  }
}

/** Decode from the same rows under every type, token by token in turn. */
async function decode(options: Options, tokens: number): Promise<void> {
  const network = await openNetwork(await wasm()), { k, config } = network
  const filled = await fill(network, 'i16', tokens)
  const logits = k.tensor([config.vocabulary], 'f32')
  for (const method of ['full', 'rocketkv']) {
    const sequences: Sequence[] = []
    // f32 reads what was i16: a reading keeps its type.
    const read = types.filter(kv => kv !== 'f32')
    for (const kv of read) {
      const sequence = createSequence(network, { policy: parseMethod(method), budget: 256, answer: 34, kv, precision: 'fast' })
      sequences.push(sequence)
      await sequence.adopt(filled.layers, logits)
      sink(await sequence.next())
    }
    const times = await interleave(sequences.map(sequence => () => sequence.next()), { rounds: 32 })
    for (const [i, kv] of read.entries())
      report(options, 'decode', { tokens, method, kv }, timesOf(times[i]!), { unit: 'tokens/s', amount: 1 },
        { 'times i16': Number(ratio(times[0]!, times[i]!).toFixed(2)), ...held(await sequences[i]!.ledger()) })
    for (const sequence of sequences) sequence.free()
  }
  k.free(logits)
  filled.free()
}
