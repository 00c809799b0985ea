import type { Network } from '../src/model/llama.ts'
import { parseMethod } from '../src/methods/index.ts'
import { createSequence } from '../src/model/sequence.ts'
import { optionsFor } from './decode.ts'
import { interleave, report, sink, timesOf, type Options } from './harness.ts'
import { promptOf } from './network.ts'

/** Draws of one run, so that starting it weighs nothing. */
const draws = 16
const tokens = 256

const kinds = [
  { draw: 'greedy', temperature: 0, topK: 40 },
  { draw: 'top-k 40, top-p 0.95', temperature: 0.8, topK: 40 },
  { draw: 'top-p 0.95 of all', temperature: 0.8, topK: 0 },
] as const

/** What the draw of the next id takes, as a share of a decode step: on the logits a model gives, step and draws in turn. */
export async function sampling(options: Options, network: Network): Promise<void> {
  const { k, config } = network
  const sequence = createSequence(network, optionsFor(parseMethod('full'), 1))
  await sequence.prefill(promptOf(network, tokens))
  const logits = k.tensor([config.vocabulary], 'f32'), out = k.tensor([1], 'u32'), state = k.tensor([2], 'u32')
  k.upload(logits, await sequence.logits())
  const programs = kinds.map(({ temperature, topK }) => k.record(() => {
    for (let i = 0; i < draws; i++)
      k.sample({ out, logits, n: config.vocabulary, history: null, historyCount: null, state, temperature, topK, topP: 0.95, minP: 0.05, penalty: 1 })
  }))
  const [step, ...times] = await interleave([async () => sink(await sequence.next()), ...programs.map(program => () => k.run(program, { tokens: 1, position: 0 }))],
    { rounds: options.quick ? 8 : 32, warmUp: 2 })
  const whole = timesOf(step!)
  report(options, 'step with greedy sample', { tokens, method: 'full' }, whole, { unit: 'tokens/s', amount: 1 })
  for (const [i, { draw }] of kinds.entries()) {
    const each = timesOf(times[i]!.map(ms => ms / draws))
    report(options, 'sample', { draw, vocabulary: config.vocabulary }, each, null, { 'percent of a step': Number((100 * each.median / whole.median).toFixed(2)) })
    k.release(programs[i])
  }
  k.free(logits, out, state)
  sequence.free()
}
