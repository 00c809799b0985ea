import { layouts, packedBytes, type Kernels } from '../src/kernels/index.ts'
import { parseMethod } from '../src/methods/index.ts'
import type { Network } from '../src/model/llama.ts'
import { createSequence } from '../src/model/sequence.ts'
import { relaxedFault } from '../src/wasm/choose.ts'
import { builds, wasm } from '../src/wasm/index.ts'
import { random } from '../test/cases.ts'
import { interleave, ratio, report, say, sink, timesOf, type Options, type Shape, type Work } from './harness.ts'
import { modelName, openNetwork, promptOf } from './network.ts'

/** Products of the 135M model: gate and up, down, query and output. */
const shapes = [[1536, 576], [576, 1536], [576, 576]] as const
const tokenCounts = [1, 2, 4, 8, 256]
/** Weights that one run walks through: more than caches near a processor hold. */
const manyBytes = 48 << 20

/** The relaxed build against the simd build, taking turns: products of 4-bit weights from memory, then decode and prefill. */
export async function bench(options: Options): Promise<void> {
  const fault = await relaxedFault()
  if (fault !== undefined) return say(options, `# the relaxed build does not run here: ${fault}`)
  const kernels = await Promise.all(builds.map(build => wasm({ build })))
  for (const layout of (['Q4_1', 'Q4_0'] as const).filter(name => name.includes(options.only)))
    for (const [rows, columns] of shapes) {
      const made = kernels.map(k => products(k, layout, rows, columns))
      for (const tokens of options.quick ? [1, 256] : tokenCounts)
        await measured(options, `project ${layout}`, { rows, columns, tokens }, made.map(m => () => m.run(tokens)), tokens < 64 ? 9 : 3,
          { unit: 'GMAC/s', amount: made[0]!.copies * rows * columns * tokens, type: 'i16' })
      made.forEach(m => m.free())
    }
  if ('model'.includes(options.only)) await model(options)
}

function products(k: Kernels, layout: 'Q4_0' | 'Q4_1', rows: number, columns: number): { readonly copies: number; run(tokens: number): Promise<void>; free(): void } {
  const next = random(1), most = Math.max(...tokenCounts), bytes = packedBytes(layout, rows, columns), copies = Math.ceil(manyBytes / bytes)
  const codes = k.tensor([most, columns], 'i16'), blocks = k.tensor([most, columns / 32, 4], 'f32'), out = k.tensor([most, rows], 'f32')
  k.upload(codes, Int16Array.from({ length: most * columns }, () => Math.floor(next() * 65279) - 32639))
  k.upload(blocks, Float32Array.from({ length: most * columns / 8 }, () => next()))
  const matrices = Array.from({ length: copies }, () => k.tensor([bytes], 'u8'))
  // Bytes of 60 make normal numbers of scales.
  for (const matrix of matrices) k.upload(matrix, new Uint8Array(bytes).fill(60))
  const program = k.record(() => matrices.forEach(packed => k.project({ out, values: null, codes, blocks, packed, bias: null, layout: layouts[layout], rows, columns, residual: 0, exact: 0 })))
  return {
    copies, run: tokens => k.run(program, { tokens, position: 0 }),
    free() {
      k.release(program)
      k.free(codes, blocks, out, ...matrices)
    },
  }
}

async function model(options: Options): Promise<void> {
  say(options, `# ${modelName}`)
  const networks: Network[] = []
  for (const build of builds) networks.push(await openNetwork(await wasm({ build })))
  const tokens = 512, answer = options.quick ? 16 : 48
  const sequenceOf = (network: Network) => createSequence(network, { policy: parseMethod('full'), budget: 256, answer: 2 * answer, kv: 'i16', precision: 'fast' })
  await measured(options, 'prefill', { tokens }, networks.map(network => async () => {
    const sequence = sequenceOf(network)
    await sequence.prefill(promptOf(network, tokens))
    sink(await sequence.logits())
    sequence.free()
  }), options.quick ? 1 : 3, { unit: 'tokens/s', amount: tokens })
  const sequences = networks.map(sequenceOf)
  for (const [i, sequence] of sequences.entries()) await sequence.prefill(promptOf(networks[i]!, tokens))
  await measured(options, 'decode', { tokens }, sequences.map(sequence => () => sequence.next()), answer, { unit: 'tokens/s', amount: 1 })
  for (const { k } of networks) k.close()
}

async function measured(options: Options, name: string, shape: Shape, bodies: readonly (() => unknown)[], rounds: number, work: Work): Promise<void> {
  const times = await interleave(bodies, { rounds })
  for (const [i, build] of builds.entries())
    report(options, name, { ...shape, build }, timesOf(times[i]!), work, i === 0 ? {} : { 'times simd': Number(ratio(times[0]!, times[i]!).toFixed(2)) })
}
