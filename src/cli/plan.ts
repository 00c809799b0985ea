import { expectedAnswer } from '../cache/plan.ts'
import type { Config } from '../model/config.ts'
import { memoryPlan, type MemoryPlan, type MemoryRequest } from '../model/memory.ts'
import { methods, parseMethod } from '../methods/index.ts'
import { readConfig } from '../model/config.ts'
import { defaultBudget } from '../model/generate.ts'
import { goingOn } from '../model/propagate.ts'
import { shapeFor } from '../model/prefill.ts'
import { findTensors, layoutsOf, loadingBytes, weightBytes } from '../model/weights.ts'
import { kvFlag, kvOf, methodFlags, modelFlag, outputFlags, propagateFlag, usageError, type Command } from './options.ts'
import { propagateOf } from './engine.ts'
import { bytesText, print, printJson, table } from './output.ts'
import { headerOf } from './source.ts'

interface Row {
  readonly method: string
  readonly budget: number
  readonly kvBytes: number
  readonly kvBytesPeak: number
  readonly kvBytesFull: number
  readonly dense: boolean
  /** Why it is dense; empty where it is not. */
  readonly reason: string
  readonly tokensHeld: number
  readonly rowsReadPerStep: number
  readonly pageSize: number
  readonly channels: number
  /** All memory: its parts, and with them what it is after the prompt was read and at most. */
  readonly memory: Omit<MemoryPlan, 'footprint'>
}

/** One method's row; where all are listed, one that this budget cannot serve says why instead of ending the list. */
function rowOf(config: Config, request: MemoryRequest, listed: boolean): Row | { readonly method: string; readonly budget: number; readonly refused: string } {
  const { policy, tokens, answer, budget } = request
  try {
    const { footprint: { held, peak, full, kept, planned }, ...memory } = memoryPlan(config, request)
    return {
      method: policy.name, budget, kvBytes: held, kvBytesPeak: peak, kvBytesFull: full, dense: planned.fellBack, reason: planned.fellBack ? planned.reason : '',
      tokensHeld: kept,
      rowsReadPerStep: Math.min(planned.read, tokens + answer), pageSize: planned.pageSize, channels: planned.channels, memory,
    }
  } catch (error) {
    const { code, message } = error as Error & { code?: string }
    if (!listed || code !== 'usage') throw error
    return { method: policy.name, budget, refused: message.startsWith(policy.name) ? message : `${policy.name}: ${message}` }
  }
}

export const plan: Command = {
  name: 'plan',
  summary: 'Says what a prompt would hold and peak at under each method, from the header alone',
  usage: '--tokens N [--model M] [--method NAME] [--budget N]',
  examples: ['plan --model model.gguf --tokens 100000', 'plan --model model.gguf --tokens 8000 --method snapkv --budget 256 --json'],
  flags: {
    ...modelFlag, tokens: { type: 'string', value: 'N', help: 'tokens of the prompt' }, ...methodFlags, ...propagateFlag,
    'max-tokens': { type: 'string', value: 'N', help: 'most tokens of the answer (default 512)' },
    ...kvFlag, ...outputFlags,
  },
  async run(input) {
    if (input.words.length) throw usageError(`plan takes flags only, got ${input.words[0]}`)
    const tokens = input.whole('tokens', 1)
    if (tokens === undefined) throw usageError('plan needs --tokens, the length of the prompt, got none')
    const budget = input.whole('budget', 1) ?? defaultBudget, answer = expectedAnswer(input.whole('max-tokens', 0) ?? 512)
    const kv = kvOf(input) ?? 'i16'
    const asked = input.text('method'), propagate = propagateOf(input)
    const policies = (asked === undefined ? Object.keys(methods) : [asked]).map(parseMethod)
    const { header, name } = await headerOf(input.text('model'), input.signal)
    const config = readConfig(header)
    // What no method could do is refused before they are listed.
    if (propagate) goingOn(propagate, shapeFor(config), tokens, 0)
    const tensors = findTensors(header, config), weights = weightBytes(tensors)
    const about = { kv, tokens, answer, budget, weights, gap: loadingBytes(tensors), layouts: layoutsOf(tensors), propagate }
    const rows = policies.map(policy => rowOf(config, { policy, ...about }, asked === undefined))
    const fits = tokens + answer <= config.context
    if (input.on('json')) return printJson({ model: name, tokens, answer, kv, weightBytes: weights, trainedContext: config.context, fitsContext: fits, ...propagate ? { propagate } : {}, rows })
    await print(`${name}: ${tokens} tokens and an answer of ${answer}; weights ${bytesText(weights)}; trained context ${config.context}${fits ? '' : ' (too short: --extend)'}\n\n`)
    const told = rows.filter(row => 'kvBytes' in row)
    await print(`${table([['method', 'held', 'at most', 'of full', 'rows read', 'kept', 'all memory', 'at most', ''], ...told.map(r => [r.method, bytesText(r.kvBytes), bytesText(r.kvBytesPeak),
      `${(100 * r.kvBytes / r.kvBytesFull).toFixed(1)} %`, String(r.rowsReadPerStep), String(Math.round(r.tokensHeld)), bytesText(r.memory.held), bytesText(r.memory.peak), r.dense ? 'dense' : ''])])}\n${rows.flatMap(row => 'refused' in row ? [`${row.refused}\n`] : []).join('')}`)
    const only = asked === undefined ? undefined : told[0]
    if (only) await print(`\n${table([['at most', ''], ...partNames.map(([part, name]) => [name, bytesText(only.memory[part])])])}\n`)
  },
}

/** The parts of what is there at most, as people are told. */
const partNames = [
  ['weights', 'weights'], ['cache', 'cache kept'], ['passing', 'rows until they are cut'], ['hidden', 'hidden states'], ['angles', 'ids and rotary angles'],
  ['activations', 'activations, logits'], ['scores', 'scores'], ['scratch', 'scratch'], ['slack', 'gaps and growth'], ['peak', 'in all'],
] as const
