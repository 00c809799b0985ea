import { parseMethod } from '../src/methods/index.ts'
import type { Network } from '../src/model/llama.ts'
import { createSequence } from '../src/model/sequence.ts'
import { wasm } from '../src/wasm/index.ts'
import { decode, far, held, optionsFor, type Method } from './decode.ts'
import { interleave, report, say, sink, timesOf, type Options } from './harness.ts'
import { modelName, openNetwork, promptOf } from './network.ts'
import { sampling } from './sampling.ts'
import { start } from './start.ts'

/** `full` first: the others are set against it. */
const methods: readonly Method[] = [
  { name: 'full', budget: 256 }, { name: 'rocketkv', budget: 256 }, { name: 'rocketkv', budget: 512 },
  { name: 'snapkv', budget: 256 }, { name: 'quest', budget: 256 },
]
const lengths = [512, 2048, 4096, 7616, 32768, 131072]
const prompts = [512, 2048, 4096]
/** Longer than this the rows alone fill most of 4 GiB: the two methods that the others lie between. */
const all = 32768

/** Load, first token, prefill, decode and the draw. */
export async function bench(options: Options): Promise<void> {
  say(options, `# ${modelName}`)
  const { quick, contexts } = options
  const wanted = (name: string): boolean => name.includes(options.only)
  if (wanted('load')) {
    const [times] = await interleave([async () => { await openNetwork(await wasm()) }], { rounds: quick ? 1 : 3, warmUp: 0 })
    report(options, 'load', {}, timesOf(times!), null)
  }
  if (wanted('first')) await start(options)
  if (wanted('memory')) await memory(options)
  const network = await openNetwork(await wasm())
  if (wanted('sample')) await sampling(options, network)
  if (wanted('prefill')) for (const tokens of contexts.length ? contexts : quick ? prompts.slice(0, 1) : prompts) await prefill(options, network, tokens)
  if (wanted('decode')) for (const tokens of contexts.length ? contexts : quick ? [512, 4096] : lengths)
    await decode(options, network, tokens, quick || tokens > all ? methods.slice(0, 2) : methods)
  if (wanted('far')) await far(options, network, { name: 'rocketkv', budget: 256 }, 4096, quick ? 16384 : 131072)
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

/** What a whole run takes, weights included: a prompt read and an answer drawn by kernels that did nothing else. */
async function memory(options: Options): Promise<void> {
  const tokens = options.quick ? 1024 : 7616, budget = 256, answer = 64
  for (const method of options.quick ? ['rocketkv'] : ['full', 'rocketkv']) {
    const network = await openNetwork(await wasm())
    const sequence = createSequence(network, { ...optionsFor(parseMethod(method), budget), answer })
    const start = performance.now()
    await sequence.prefill(promptOf(network, tokens))
    for (let i = 0; i < answer; i++) sink(await sequence.next())
    const ledger = await sequence.ledger()
    report(options, 'memory', { tokens, method, budget, answer }, timesOf([performance.now() - start]), null,
      { 'MB at most': Number((ledger.memoryBytesPeak / 1e6).toFixed(1)), 'MB of cache at most': Number((ledger.kvBytesPeak / 1e6).toFixed(1)), ...held(ledger) })
  }
}
