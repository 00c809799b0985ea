import { expectedAnswer, footprint } from '../cache/plan.ts'
import type { Policy, Request } from '../cache/policy.ts'
import type { RowType } from '../kernels/index.ts'
import { inspect } from '../load.ts'
import { methods, parseMethod } from '../methods/index.ts'
import { readConfig } from '../model/config.ts'
import { defaultBudget } from '../model/generate.ts'
import { shapeFor } from '../model/prefill.ts'
import { findTensors, weightBytes } from '../model/weights.ts'
import { modelSource } from './files.ts'
import { kvFlag, kvOf, methodFlags, modelFlag, outputFlags, usageError, type Command } from './options.ts'
import { bytesText, print, printJson, table } from './output.ts'

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
}

/** One method's row; where all are listed, one that this budget cannot serve says why instead of ending the list. */
function rowOf(policy: Policy, request: Request & { readonly kv: RowType }, listed: boolean): Row | { readonly method: string; readonly budget: number; readonly refused: string } {
  const { tokens, answer, budget } = request
  try {
    const { held, peak, full, planned } = footprint({ policy, ...request })
    return {
      method: policy.name, budget, kvBytes: held, kvBytesPeak: peak, kvBytesFull: full, dense: planned.fellBack, reason: planned.fellBack ? planned.reason : '',
      tokensHeld: policy.evicts && !planned.dense ? Math.min(planned.kept, tokens) : tokens,
      rowsReadPerStep: Math.min(planned.read, tokens + answer), pageSize: planned.pageSize, channels: planned.channels,
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
    ...modelFlag, tokens: { type: 'string', value: 'N', help: 'tokens of the prompt' }, ...methodFlags,
    'max-tokens': { type: 'string', value: 'N', help: 'most tokens of the answer (default 512)' },
    ...kvFlag, ...outputFlags,
  },
  async run(input) {
    if (input.words.length) throw usageError(`plan takes flags only, got ${input.words[0]}`)
    const tokens = input.whole('tokens', 1)
    if (tokens === undefined) throw usageError('plan needs --tokens, the length of the prompt, got none')
    const budget = input.whole('budget', 1) ?? defaultBudget, answer = expectedAnswer(input.whole('max-tokens', 0) ?? 512)
    const kv = kvOf(input) ?? 'i16'
    const asked = input.text('method')
    const policies = (asked === undefined ? Object.keys(methods) : [asked]).map(parseMethod)
    const { header, name } = await inspect(modelSource(input.text('model')), input.signal)
    const config = readConfig(header)
    const shape = shapeFor(config)
    const weights = weightBytes(findTensors(header, config))
    const rows = policies.map(policy => rowOf(policy, { kv, shape, tokens, answer, budget }, asked === undefined))
    const fits = tokens + answer <= config.context
    if (input.on('json')) return printJson({ model: name, tokens, answer, kv, weightBytes: weights, trainedContext: config.context, fitsContext: fits, rows })
    await print(`${name}: ${tokens} tokens and an answer of ${answer}; weights ${bytesText(weights)}; trained context ${config.context}${fits ? '' : ' (too short: --extend)'}\n\n`)
    await print(`${table([['method', 'held', 'at most', 'of full', 'rows read', 'kept', ''], ...rows.filter(row => 'kvBytes' in row).map(r => [r.method, bytesText(r.kvBytes), bytesText(r.kvBytesPeak),
      `${(100 * r.kvBytes / r.kvBytesFull).toFixed(1)} %`, String(r.rowsReadPerStep), String(r.tokensHeld), r.dense ? 'dense' : ''])])}\n${rows.flatMap(row => 'refused' in row ? [`${row.refused}\n`] : []).join('')}`)
  },
}
