import { blockTypes, GgufError } from '../gguf/index.ts'
import { readConfig, supportedArchitectures, type Config } from '../model/config.ts'
import { findTensors, weightBytes } from '../model/weights.ts'
import type { Inspected } from '../load.ts'
import { tokenizer } from '../tokenizer/index.ts'
import { modelFlag, outputFlags, usageError, type Command } from './options.ts'
import { bytesText, plain, print, printJson, table } from './output.ts'
import { headerOf } from './source.ts'

/** What a part says of itself, or why it cannot be run. */
function attempt<T>(body: () => T): { readonly value: T } | { readonly problem: string } {
  try {
    return { value: body() }
  } catch (error) {
    if (error instanceof GgufError || (error as { code?: string }).code === 'model') return { problem: (error as Error).message }
    throw error
  }
}

function report({ header, size, name }: Inspected) {
  const config = attempt(() => readConfig(header))
  const weights = attempt(() => 'value' in config ? weightBytes(findTensors(header, config.value)) : 0)
  const words = attempt(() => tokenizer(header.metadata))
  const types: Record<string, number> = {}
  for (const tensor of header.tensors.values()) types[tensor.type] = (types[tensor.type] ?? 0) + 1
  const problems = [config, weights, words].flatMap(part => 'problem' in part ? [part.problem] : [])
  const text = (key: string): string | null => {
    const value = header.metadata.get(key)
    return typeof value === 'string' ? value : null
  }
  return {
    model: name, bytes: size, version: header.version, name: text('general.name'), architecture: text('general.architecture'),
    config: 'value' in config ? config.value : null, tensors: header.tensors.size, tensorTypes: types,
    tokenizer: { kind: text('tokenizer.ggml.model'), pre: text('tokenizer.ggml.pre'), tokens: 'value' in words ? words.value.size : null },
    chatTemplate: header.metadata.has('tokenizer.chat_template'), weightBytes: 'value' in weights ? weights.value : null,
    runs: problems.length === 0, problems,
  }
}

const sizes = (c: Config): string => `${c.layers} layers, width ${c.dim}, feed-forward ${c.hiddenDim}, ${c.heads} heads over ${c.kvHeads} KV heads of ${c.headDim} channels, vocabulary ${c.vocabulary}`

/** Windows and rotations, where they are not those of a plain llama. */
function attentionOf({ kinds, layers, ropes, rotary, headDim }: Config): string {
  const sliding = kinds.filter(({ window }) => window), still = kinds.filter(({ rope }) => rope === null)
  return [
    ...sliding.length ? [`${sliding.length} of ${layers} layers see the newest ${sliding[0]!.window} tokens`] : [],
    ...still.length ? [`${still.length} of ${layers} layers do not rotate`] : [],
    ...rotary < headDim ? [`${rotary} of ${headDim} channels rotate`] : [],
    ...ropes.some(({ divisors }) => divisors) ? ['scaled rope'] : [],
  ].join(', ')
}

/** What people read: a name and what the file says. */
function linesOf(r: ReturnType<typeof report>): [string, string][] {
  const { kind, pre, tokens } = r.tokenizer
  return [
    ['file', `${plain(r.model)}, ${bytesText(r.bytes)}, GGUF version ${r.version}`],
    ['name', plain(r.name ?? '–')],
    ['architecture', plain(r.architecture ?? '–') + (r.config ? `: ${sizes(r.config)}` : '')],
    ...r.config && attentionOf(r.config) ? [['attention', attentionOf(r.config)] as [string, string]] : [],
    ['trained context', r.config ? `${r.config.context} tokens` : '–'],
    ['tensors', `${r.tensors}: ${Object.entries(r.tensorTypes).map(([type, n]) => `${n} ${type}`).join(', ') || '–'}`],
    ['weights here', r.weightBytes === null ? '–' : bytesText(r.weightBytes)],
    ['tokenizer', plain([kind ?? '–', ...pre ? [`pre-type ${pre}`] : [], ...tokens ? [`${tokens} tokens`] : []].join(', '))],
    ['chat template', r.chatTemplate ? 'yes' : 'no (run --raw)'],
    ['runs', r.runs ? 'yes' : 'no'],
    ...r.problems.map((problem): [string, string] => ['', problem]),
    ...r.runs ? [] : [['', `here run the architectures ${supportedArchitectures().join(', ')} with the tensor types ${Object.keys(blockTypes).join(', ')}`] as [string, string]],
  ]
}

export const inspect: Command = {
  name: 'inspect',
  summary: 'Says what a GGUF file holds and whether it runs here, from its header alone',
  usage: 'M',
  examples: ['inspect model.gguf', 'inspect model.gguf --json'],
  flags: { ...modelFlag, ...outputFlags },
  async run(input) {
    const name = input.words[0] ?? input.text('model')
    if (input.words.length > 1) throw usageError(`inspect takes one file, got ${input.words.length}`)
    const r = report(await headerOf(name, input.signal))
    if (input.on('json')) return printJson(r)
    await print(table(linesOf(r), { left: 2 }) + '\n')
  },
}
