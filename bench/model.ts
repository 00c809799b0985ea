import type { Ledger } from '../src/cache/ledger.ts'
import type { Policy } from '../src/cache/policy.ts'
import { parseMethod } from '../src/methods/index.ts'
import type { Network } from '../src/model/llama.ts'
import { createSequence, type Sequence, type SequenceOptions } from '../src/model/sequence.ts'
import { wasm } from '../src/wasm/index.ts'
import { interleave, ratio, report, say, sink, timesOf, type Options } from './harness.ts'
import { fill, modelName, openNetwork, promptOf } from './network.ts'

const kv = 'i16', precision = 'fast'
/** Tokens of an answer that count, after one that does not. */
const answered = 48

interface Method { readonly name: string; readonly budget: number }
/** `full` first: the others are set against it. */
const methods: readonly Method[] = [
  { name: 'full', budget: 256 }, { name: 'rocketkv', budget: 256 }, { name: 'rocketkv', budget: 512 },
  { name: 'snapkv', budget: 256 }, { name: 'quest', budget: 256 },
]
const lengths = [512, 2048, 4096, 7616, 32768]
const prompts = [512, 2048, 4096]

const megabytes = (bytes: number): number => Number((bytes / 1e6).toFixed(1))
const optionsFor = (policy: Policy, budget: number): SequenceOptions => ({ policy, budget, answer: answered + 2, kv, precision })
const held = ({ kvBytes, kvBytesFull, rowsReadPerStep, dense }: Ledger) =>
  ({ 'MB held': megabytes(kvBytes), 'of full': Number((kvBytes / kvBytesFull).toFixed(3)), 'rows read': Math.round(rowsReadPerStep), ...dense ? { dense } : {} })

/** Load, prefill and decode. Three minutes with the 135M model, one where quick. */
export async function bench(options: Options): Promise<void> {
  say(options, `# ${modelName}`)
  const wanted = (name: string): boolean => name.includes(options.only)
  if (wanted('load')) {
    const [times] = await interleave([async () => { await openNetwork(await wasm()) }], { rounds: options.quick ? 1 : 3, warmUp: 0 })
    report(options, 'load', {}, timesOf(times!), null)
  }
  if (wanted('memory')) await memory(options)
  const network = await openNetwork(await wasm())
  if (wanted('prefill')) for (const tokens of options.quick ? prompts.slice(0, 2) : prompts) await prefill(options, network, tokens)
  if (wanted('decode')) for (const tokens of options.quick ? [512, 4096] : lengths) await decode(options, network, tokens)
}

async function prefill(options: Options, network: Network, tokens: number): Promise<void> {
  const ids = promptOf(network, tokens)
  const [times] = await interleave([async () => {
    const sequence = createSequence(network, optionsFor(parseMethod('full'), 1))
    await sequence.prefill(ids)
    sink(await sequence.logits())
    sequence.free()
  }], { rounds: tokens > 1024 || options.quick ? 1 : 3, warmUp: 0 })
  report(options, 'prefill', { tokens, method: 'full' }, timesOf(times!), { unit: 'tokens/s', amount: tokens })
}

/** Every method decodes from the same rows, token by token in turn. */
async function decode(options: Options, network: Network, tokens: number): Promise<void> {
  const { k, config } = network
  const filled = await fill(network, kv, tokens)
  const logits = k.tensor([config.vocabulary], 'f32')
  const sequences: Sequence[] = []
  const chosen = options.quick ? methods.slice(0, 2) : methods
  try {
    for (const { name, budget } of chosen) {
      const sequence = createSequence(network, optionsFor(parseMethod(name), budget))
      sequences.push(sequence)
      await sequence.adopt(filled.layers, logits)
      sink(await sequence.next())
    }
    const times = await interleave(sequences.map(sequence => () => sequence.next()), { rounds: answered })
    for (const [i, { name, budget }] of chosen.entries()) {
      const extra = { ...i ? { 'times full': Number(ratio(times[0]!, times[i]!).toFixed(2)) } : {}, ...held(await sequences[i]!.ledger()) }
      report(options, 'decode', { tokens, method: name, ...name === 'full' ? {} : { budget } }, timesOf(times[i]!), { unit: 'tokens/s', amount: 1 }, extra)
    }
  } finally {
    for (const sequence of sequences) sequence.free()
    k.free(logits)
    filled.free()
  }
}

/** What a whole run takes, weights included: a prompt read and an answer drawn by kernels that did nothing else. */
async function memory(options: Options): Promise<void> {
  const tokens = options.quick ? 2048 : 7616, budget = 256, answer = 64
  for (const method of options.quick ? ['rocketkv'] : ['full', 'rocketkv']) {
    const network = await openNetwork(await wasm())
    const sequence = createSequence(network, { ...optionsFor(parseMethod(method), budget), answer })
    const start = performance.now()
    await sequence.prefill(promptOf(network, tokens))
    for (let i = 0; i < answer; i++) sink(await sequence.next())
    const ledger = await sequence.ledger()
    report(options, 'memory', { tokens, method, budget, answer }, timesOf([performance.now() - start]), null,
      { 'MB at most': megabytes(ledger.memoryBytesPeak), 'MB of cache at most': megabytes(ledger.kvBytesPeak), ...held(ledger) })
  }
}
