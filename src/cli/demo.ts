import { trial, type TrialRow } from '../demo/trial.ts'
import { parseMethod } from '../methods/index.ts'
import { loadModel } from './engine.ts'
import { engineFlags, outputFlags, usageError, type Command, type Flags } from './options.ts'
import { bytesText, print, printJson, say, table, trialBars } from './output.ts'

/** Rows of the table unless --methods names others. */
const shown = ['full', 'rocketkv', 'rocketkv-mt', 'snapkv,kernel=63', 'snapkv', 'chunkkv', 'hsa', 'quest', 'sparq', 'exact-topk', 'streaming']

/** Shortest and longest document: the model was trained for up to 32,768 tokens, question and answer included. */
const least = 1024, most = 32_000
/** A document on which full attention answers every question. */
const goodSeed = 8
const fewest = 12

/** `a,b,kernel=5,c` → `a`, `b,kernel=5`, `c`. */
export function splitMethods(text: string): string[] {
  const names: string[] = []
  for (const part of text.split(',')) {
    if (part.includes('=') && names.length) names[names.length - 1] += `,${part}`
    else names.push(part)
  }
  return names
}

/** A bar of `width` cells for a share of 1, in eighths. */
export function bar(share: number, width = 20): string {
  const eighths = Math.max(1, Math.round(Math.min(1, share) * width * 8))
  return ('█'.repeat(eighths >> 3) + (eighths & 7 ? String.fromCharCode(0x2590 - (eighths & 7)) : '')).padEnd(width)
}

/** The parameters in which a row differs from its method's defaults. */
function label({ method, parameters }: TrialRow): string {
  const defaults = parseMethod(method).parameters
  const own = Object.entries(parameters).filter(([key, value]) => defaults[key] !== value).map(([key, value]) => `${key}=${value}`)
  return [method, ...own].join(',')
}

function rowsOf(rows: readonly TrialRow[], questions: number): string {
  const full = Math.max(...rows.map(row => row.method === 'full' ? row.kvBytes : 0)) || Math.max(...rows.map(row => row.kvBytes))
  return table([
    ['method', 'budget', 'right', 'second', 'cache', '', 'of full', 'rows/step', 'tokens/s'],
    ...rows.map(row => [label(row), row.method === 'full' ? '–' : String(row.budget), `${row.right}/${questions}`, `${row.rightSecond}/${questions}`, bytesText(row.kvBytes),
      bar(row.kvBytes / full), `${(100 * row.kvBytes / full).toFixed(1)} %`, String(Math.round(row.rowsReadPerStep)), row.decodeTokensPerSecond.toFixed(0)]),
  ])
}

const { model: _, ...withoutModel } = engineFlags
const flags: Flags = {
  tokens: { type: 'string', value: 'N', help: `tokens of the document, ${least} to ${most} (default 16384)` },
  methods: { type: 'string', value: 'A,B,…', help: `rows of the table (default ${shown.length} of them)` },
  budget: { type: 'string', value: 'N', help: "every method's budget in tokens (default 256)" },
  questions: { type: 'string', value: 'N', help: `questions under each method (default ${fewest})` },
  seed: { type: 'string', value: 'N', help: `of the document (default ${goodSeed})` },
  ...withoutModel, ...outputFlags,
}

export const demo: Command = {
  name: 'demo',
  summary: 'The embedded model reads a long document once and answers questions about it under each method',
  usage: '[--tokens N] [--methods A,B] [--budget N]',
  examples: ['demo', 'demo --tokens 32000 --methods full,rocketkv,snapkv,kernel=63 --budget 128'],
  flags,
  async run(input) {
    if (input.words.length) throw usageError(`demo takes flags only, got ${input.words[0]}`)
    const tokens = input.whole('tokens', 1) ?? 16_384
    if (tokens < least || tokens > most) throw usageError(`--tokens must be from ${least} to ${most}, got ${tokens}`)
    const budget = input.whole('budget', 16) ?? 256, questions = input.whole('questions', 1) ?? fewest, seed = input.whole('seed') ?? goodSeed
    const policies = splitMethods(input.text('methods') ?? shown.join(',')).map(parseMethod)
    const json = input.on('json'), quiet = input.on('quiet') || json
    const { model } = await loadModel(input)
    const bars = trialBars(!quiet)
    const started = performance.now()
    try {
      const result = await trial({ model, policies, budget, tokens, questions, seed, signal: input.signal, progress: bars.update })
      bars.stop()
      if (json) return printJson(result)
      const rate = result.rows[0]?.prefillTokensPerSecond ?? 0
      await print(`A document of ${result.tokens} tokens, read once at ${rate.toFixed(0)} tokens/s. ${questions} questions under each method,\nthen ${questions} second questions on what the first left of its cache.\n\n${rowsOf(result.rows, questions)}\n`)
      if (!quiet) say(`\n${((performance.now() - started) / 1e3).toFixed(0)} s in all, ${model.kernels.threads === 1 ? 'one thread' : `${model.kernels.threads} threads`}. \`pocketkv methods\` explains the methods.`)
    } finally {
      bars.stop()
    }
  },
}
