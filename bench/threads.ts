import type { Kernels } from '../src/kernels/index.ts'
import { parseMethod } from '../src/methods/index.ts'
import type { Network } from '../src/model/llama.ts'
import { createSequence, type Sequence } from '../src/model/sequence.ts'
import { wasm } from '../src/wasm/index.ts'
import { interleave, ratio, report, say, sink, timesOf, type Extra, type Options } from './harness.ts'
import { fill, modelName, openNetwork, promptOf, type Filled } from './network.ts'

const kv = 'i16', precision = 'fast'
/** What is compared, one thread first. */
const threads = [1, 2]
/** Steps that count, after one that does not. */
const steps = 40

const sequenceOf = (network: Network): Sequence => createSequence(network, { policy: parseMethod('full'), budget: 256, answer: 2 * steps + 4, kv, precision })

/** Decode and prefill by number of threads, in turns; what each thread was busy with. One minute with the 135M model. */
export async function bench(options: Options): Promise<void> {
  say(options, `# ${modelName}`)
  const networks: Network[] = []
  for (const n of threads) networks.push(await openNetwork(await wasm({ threads: n })))
  for (const tokens of options.quick ? [512] : [512, 4096]) if ('decode'.includes(options.only)) await decode(options, networks, tokens)
  if ('prefill'.includes(options.only)) await prefill(options, networks, options.quick ? 512 : 1024)
  for (const { k } of networks) k.close()
}

async function decode(options: Options, networks: readonly Network[], tokens: number): Promise<void> {
  const filled: Filled[] = [], sequences: Sequence[] = []
  for (const network of networks) {
    filled.push(await fill(network, kv, tokens))
    sequences.push(sequenceOf(network))
    await sequences.at(-1)!.adopt(filled.at(-1)!.layers, network.k.tensor([network.config.vocabulary], 'f32'))
    sink(await sequences.at(-1)!.next())
  }
  await measured(options, networks, 'decode', tokens, 1, steps, sequences.map(sequence => () => sequence.next()))
  sequences.forEach(sequence => sequence.free())
  filled.forEach(f => f.free())
}

async function prefill(options: Options, networks: readonly Network[], tokens: number): Promise<void> {
  await measured(options, networks, 'prefill', tokens, tokens, options.quick ? 1 : 3, networks.map(network => async () => {
    const sequence = sequenceOf(network)
    await sequence.prefill(promptOf(network, tokens))
    sink(await sequence.logits())
    sequence.free()
  }))
}

/** Turn by turn, for the ratio; then with more threads alone, for what each is busy with. amount: tokens of a run. */
async function measured(options: Options, networks: readonly Network[], name: string, tokens: number, amount: number, rounds: number, bodies: readonly (() => unknown)[]): Promise<void> {
  const times = await interleave(bodies, { rounds })
  for (const [i, { k }] of networks.entries())
    report(options, name, { tokens, threads: k.threads }, timesOf(times[i]!), { unit: 'tokens/s', amount }, k.threads === 1 ? {} : { 'times 1 thread': Number(ratio(times[0]!, times[i]!).toFixed(2)), ...await busy(k, rounds, bodies[i]!) })
}

/** A thread is busy while it does not wait. */
async function busy(k: Kernels, rounds: number, body: () => unknown): Promise<Extra> {
  await body()
  const before = k.sharing(), start = performance.now()
  for (let i = 0; i < rounds; i++) await body()
  const all = performance.now() - start, after = k.sharing()
  return { 'barriers a run': Math.round((after.barriers - before.barriers) / rounds),
    'busy %': after.waited.map((ms, thread) => (100 * (1 - (ms - before.waited[thread]!) / all)).toFixed(1)).join(' ') }
}
