import { evaluate, type Evaluated } from '../demo/evaluate.ts'
import { methods as registry, parseMethod } from '../methods/index.ts'
import { splitMethods } from './demo.ts'
import { loadModel } from './engine.ts'
import { engineFlags, outputFlags, usageError, type Command, type Flags } from './options.ts'
import { bytesText, print, printJson, trialBars } from './output.ts'

/** The embedded model was trained for up to 32,768 tokens, question and answer included. */
const most = 32_000
const fewest = 12, firstSeed = 7

const flags: Flags = {
  methods: { type: 'string', value: 'A,B,…', help: 'methods, and methods put together with + (default: every one)' },
  budgets: { type: 'string', value: 'N,N,…', help: 'budgets of each method in tokens (default 128,256,512)' },
  tokens: { type: 'string', value: 'N', help: `tokens of a document, up to ${most} (default 8192)` },
  questions: { type: 'string', value: 'N', help: `questions about each document (default ${fewest})` },
  documents: { type: 'string', value: 'N', help: 'documents (default 1)' },
  seed: { type: 'string', value: 'N', help: `of the first document (default ${firstSeed})` },
  ...engineFlags, ...outputFlags,
}

/** Rows of several documents as one each, in the order of the first document. */
function together(rows: readonly Evaluated[]): Evaluated[] {
  const groups = new Map<string, Evaluated[]>()
  for (const row of rows) groups.set(`${row.method} ${row.budget}`, [...groups.get(`${row.method} ${row.budget}`) ?? [], row])
  return [...groups.values()].map(group => {
    const mean = (of: (row: Evaluated) => number): number => group.reduce((sum, row) => sum + of(row), 0) / group.length
    const sum = (of: (row: Evaluated) => number): number => mean(of) * group.length
    return { ...group[0]!, questions: sum(row => row.questions), right: sum(row => row.right), rightSecond: sum(row => row.rightSecond), divergence: mean(row => row.divergence),
      perplexity: Math.exp(mean(row => Math.log(row.perplexity))), kvBytes: mean(row => row.kvBytes), kvBytesFull: mean(row => row.kvBytesFull),
      rowsReadPerStep: mean(row => row.rowsReadPerStep), dense: group.some(row => row.dense) }
  })
}

export function markdown(rows: readonly Evaluated[]): string {
  const lines = together(rows).map(row => [`\`${row.method}\`${row.dense ? ' (dense)' : ''}`, row.budget ?? '–', `${row.right}/${row.questions}`, `${row.rightSecond}/${row.questions}`,
    row.divergence.toPrecision(3), row.perplexity.toPrecision(4), bytesText(Math.round(row.kvBytes)), `${(100 * row.kvBytes / row.kvBytesFull).toFixed(1)} %`, Math.round(row.rowsReadPerStep)])
  return ['| method | budget | right | second | KL to full | perplexity | cache | of full | rows/step |', '|---|---|---|---|---|---|---|---|---|', ...lines.map(cells => `| ${cells.join(' | ')} |`)].join('\n')
}

export const evaluation: Command = {
  name: 'eval',
  summary: 'Measures methods at budgets: right answers, second questions, divergence from the full cache, bytes',
  usage: '[--methods A,B] [--budgets N,N] [--tokens N]',
  examples: ['eval --methods full,snapkv,snapkv+kivi --budgets 128,256', 'eval --json > rows.jsonl'],
  flags,
  async run(input) {
    if (input.words.length) throw usageError(`eval takes flags only, got ${input.words[0]}`)
    const tokens = input.whole('tokens', 1024) ?? 8192, questions = input.whole('questions', 1) ?? fewest, documents = input.whole('documents', 1) ?? 1, seed = input.whole('seed') ?? firstSeed
    if (tokens > most) throw usageError(`--tokens must be at most ${most}, got ${tokens}`)
    const budgets = (input.text('budgets') ?? '128,256,512').split(',').map(text => {
      if (!/^[1-9]\d{0,6}$/.test(text.trim())) throw usageError(`--budgets must be whole numbers of tokens from 1 on, got ${text}`)
      return Number(text)
    })
    const methods = splitMethods(input.text('methods') ?? Object.keys(registry).join(',')).map(text => ({ text, policy: parseMethod(text) }))
    const json = input.on('json'), { model } = await loadModel(input), rows: Evaluated[] = []
    for (let at = seed; at < seed + documents; at++) {
      const bars = trialBars(!input.on('quiet') && !json)
      try {
        const got = await evaluate({ model, full: registry.full(), methods, budgets, tokens, questions, seed: at, signal: input.signal, progress: bars.update })
        rows.push(...got)
        // A line a row, as soon as a document is done.
        if (json) for (const row of got) await printJson(row)
      } finally {
        bars.stop()
      }
    }
    if (!json) await print(`${markdown(rows)}\n`)
  },
}
