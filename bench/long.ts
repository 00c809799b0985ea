import { operations, type Kernels, type OperationName } from '../src/kernels/index.ts'
import { parseMethod } from '../src/methods/index.ts'
import { memoryPlan } from '../src/model/memory.ts'
import { createSequence } from '../src/model/sequence.ts'
import { wasm } from '../src/wasm/index.ts'
import { normal } from '../test/cases.ts'
import { llama1B, shapedNetwork } from '../test/gguf/shaped.ts'
import { report, say, sink, timesOf, type Options } from './harness.ts'

const tokens = 131072, answer = 16, budget = 1024, method = 'rocketkv', kv = 'i16'

/** What of a prompt stays: where its rows go, and which of them are kept. All else is arithmetic that takes no memory of its own. */
const kept: readonly OperationName[] = ['append', 'reposition', 'observe', 'advance', 'ropeTable', 'gather', 'bounds', 'scoreWindow', 'pool', 'sumSets', 'topk', 'gatherRows', 'repack', 'ropeFrequencies']

/**
 * Kernels that read a prompt in seconds where it takes hours: while `skipping`, rows and queries are seeded ones and products are left out. Every
 * place is taken as ever, and rows are scored, chosen and moved as ever.
 */
export function skipping(k: Kernels): { readonly kernels: Kernels; skip(yes: boolean): void; seed(sizes: { readonly heads: number; readonly kvHeads: number; readonly headDim: number }): void } {
  let skip = false
  let rows: { readonly keys: Parameters<Kernels['append']>[0]['keys']; readonly query: Parameters<Kernels['append']>[0]['keys'] } | null = null
  const left = Object.fromEntries((Object.keys(operations) as OperationName[]).filter(name => !kept.includes(name)).map(name =>
    [name, (o: never) => { if (!skip) (k[name] as (o: never) => void)(o) }])) as unknown as Kernels
  return {
    kernels: {
      ...k, ...left,
      append: o => k.append(skip && rows ? { ...o, keys: rows.keys, values: rows.keys } : o),
      observe: o => k.observe(skip && rows ? { ...o, query: rows.query } : o),
    },
    skip(yes) { skip = yes },
    seed({ heads, kvHeads, headDim }) {
      const seeded = (n: number, seed: number) => {
        const tensor = k.tensor([256, n, headDim], 'f32')
        k.upload(tensor, normal(256 * n * headDim, seed))
        return tensor
      }
      rows = { keys: seeded(kvHeads, 1), query: seeded(heads, 2) }
    },
  }
}

const megabytes = (bytes: number): number => Number((bytes / 1e6).toFixed(1))

/** 131,072 tokens on Llama-3.2-1B's shape: memory as planned and as counted. Half a minute; two layers where quick. */
export async function bench(options: Options): Promise<void> {
  for (const layers of options.quick ? [2] : [2, 16]) {
    const { kernels: k, skip, seed } = skipping(await wasm())
    const network = await shapedNetwork(k, llama1B(layers)), { config, weights: { gap, layouts } } = network, weights = k.memory().used
    seed(config)
    const policy = parseMethod(method)
    const { footprint, ...plan } = memoryPlan(config, { policy, kv, tokens, answer, budget, weights, gap, layouts })
    say(options, `# ${config.name}: ${Object.entries(plan).map(([part, bytes]) => `${part} ${megabytes(bytes)} MB`).join(' · ')}`)
    const sequence = createSequence(network, { policy, budget, answer, kv, precision: 'fast' })
    const start = performance.now()
    skip(true)
    await sequence.prefill(Array.from({ length: tokens }, (_, i) => i * 7919 % config.vocabulary))
    skip(false)
    for (let i = 0; i < answer; i++) sink(await sequence.next())
    const { memoryBytesPeak, kvBytesPeak, tokensHeld, rowsReadPerStep } = await sequence.ledger()
    report(options, 'long', { layers, tokens, method, budget }, timesOf([performance.now() - start]), null, {
      'MB planned': megabytes(plan.peak), 'MB at most': megabytes(memoryBytesPeak), 'of the plan': Number((memoryBytesPeak / plan.peak).toFixed(4)),
      'of 4 GiB': Number((memoryBytesPeak / 2 ** 32).toFixed(3)), 'MB of cache at most': megabytes(kvBytesPeak), 'MB planned of it': megabytes(footprint.peak), kept: tokensHeld, 'rows read': rowsReadPerStep,
    })
  }
}
