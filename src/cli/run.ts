import { constants } from 'node:fs'
import { access, stat, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import type { Ledger } from '../cache/ledger.ts'
import { defaultBudget, type GenerateOptions, type StopReason, type Story } from '../model/generate.ts'
import type { Prompt } from '../model/prompt.ts'
import { samplingOf } from '../model/sample.ts'
import { stopMatcher, type ChatOptions } from '../tokenizer/index.ts'
import { engineOf, loadModel, policyOf, propagateOf, tellFolded } from './engine.ts'
import { readArray, readText, reason } from './files.ts'
import { engineFlags, methodFlags, outputFlags, propagateFlag, usageError, type Command, type Flags, type Input } from './options.ts'
import { bytesText, print, printJson, progressBar, say, type Bar } from './output.ts'

const promptFlags: Flags = {
  document: { type: 'string', value: 'FILE|-|URL', help: 'long text before the question' },
  prompt: { type: 'string', value: 'TEXT', help: 'the question' },
  system: { type: 'string', value: 'TEXT', help: 'the system message' },
  raw: { type: 'boolean', help: 'no chat template: document and prompt as they stand' },
  tokens: { type: 'string', value: 'FILE', help: 'a JSON array of token ids in place of text' },
}

export const answerFlags: Flags = {
  'max-tokens': { type: 'string', value: 'N', help: 'most tokens of the answer (default 512)' },
  temperature: { type: 'string', value: 'T', help: '0 takes the most likely token (default 0)' },
  'top-k': { type: 'string', value: 'N', help: 'candidates by rank, 0 for all (default 40)' },
  'top-p': { type: 'string', value: 'P', help: 'candidates by summed probability (default 0.95)' },
  'min-p': { type: 'string', value: 'P', help: "least probability as a share of the best one's (default 0.05)" },
  'repeat-penalty': { type: 'string', value: 'X', help: 'against the last 64 tokens, 1 for none (default 1)' },
  seed: { type: 'string', value: 'N', help: 'of the random draw (default 0)' },
  stop: { type: 'string', value: 'TEXT', help: 'ends the answer', multiple: true },
  'ignore-eos': { type: 'boolean', help: 'go on after the end of the turn' },
  context: { type: 'string', value: 'N', help: 'tokens that prompt and answer may have (default: what they need, at most the trained context)' },
  extend: { type: 'boolean', help: 'allow more than the trained context' },
}

const recordFlags: Flags = {
  logits: { type: 'string', value: 'N', help: 'with --json: the N largest logits at the last prompt position' },
  kept: { type: 'string', value: 'FILE', help: 'write the positions that answering can read, right after the prompt' },
}

export const templateFlags: Flags = {
  think: { type: 'boolean', help: 'asks a model to think before it answers, where its template leaves that open' },
  'no-think': { type: 'boolean', help: 'asks a model that thinks before it answers not to' },
  tools: { type: 'string', value: 'FILE', help: 'a JSON array of functions, for templates that know them' },
}

/** What the chat template is told beside the messages. */
export async function templateOf(input: Input): Promise<Pick<ChatOptions, 'tools' | 'thinking'>> {
  const file = input.text('tools')
  const tools = file === undefined ? undefined : await readArray(file, input)
  const bad = tools?.findIndex(tool => typeof tool !== 'object' || tool === null || Array.isArray(tool)) ?? -1
  if (bad >= 0) throw usageError(`${file} must hold functions as JSON objects, got ${JSON.stringify(tools![bad])} at ${bad}`)
  if (input.on('think') && input.on('no-think')) throw usageError('one of --think and --no-think must be given at most, got both')
  return { ...tools ? { tools: tools as object[] } : {}, ...input.on('think') || input.on('no-think') ? { thinking: input.on('think') } : {} }
}

async function promptOf(input: Input): Promise<Prompt> {
  const tokens = input.text('tokens'), document = input.text('document')
  const given = { prompt: input.text('prompt'), system: input.text('system'), raw: input.on('raw'), template: await templateOf(input) }
  if (tokens === undefined) return { ...given, ...document === undefined ? {} : { document: await readText(document, input) } }
  if (document !== undefined || given.prompt !== undefined || given.system !== undefined) throw usageError('--tokens must stand alone, got a text too')
  const ids = await readArray(tokens, input)
  const bad = ids.find(id => !(Number.isSafeInteger(id) && (id as number) >= 0))
  if (bad !== undefined) throw usageError(`${tokens} must hold token ids, got ${JSON.stringify(bad)}`)
  return { ids: ids as number[] }
}

export function optionsOf(input: Input, method?: string): GenerateOptions {
  const numbers: Record<string, number | undefined> = {
    maxTokens: input.whole('max-tokens'), budget: input.whole('budget', 1), context: input.whole('context', 1), temperature: input.number('temperature'),
    topK: input.whole('top-k'), topP: input.number('top-p'), minP: input.number('min-p'), repeatPenalty: input.number('repeat-penalty'), seed: input.whole('seed'),
  }
  return {
    ...Object.fromEntries(Object.entries(numbers).filter(([, value]) => value !== undefined)),
    stop: input.texts('stop'), ignoreEos: input.on('ignore-eos'), extend: input.on('extend'), signal: input.signal, method: policyOf(input, method),
  }
}

/** The n largest logits, and their moments over the vocabulary. */
function logitSummary(logits: Float32Array, n: number): object {
  const top = Array.from(logits, (value, id): [number, number] => [id, value]).sort((a, b) => b[1] - a[1] || a[0] - b[0]).slice(0, n)
  const largest = top[0]?.[1] ?? logits.reduce((a, b) => Math.max(a, b), -Infinity)
  const mean = logits.reduce((a, b) => a + b, 0) / logits.length
  const std = Math.sqrt(logits.reduce((sum, x) => sum + (x - mean) ** 2, 0) / logits.length)
  return { top, mean, std, logSumExp: largest + Math.log(logits.reduce((sum, x) => sum + Math.exp(x - largest), 0)) }
}

/** Why an answer ended, in the words of the command line's contract: a text of --stop ends it as the model's own end does. */
export const endings: Readonly<Record<StopReason, 'eos' | 'length' | 'abort'>> = { eos: 'eos', stop: 'eos', length: 'length', abort: 'abort' }

function summary(story: Story, ledger: Ledger, method: string, budget: number): string {
  const { prefillTokensPerSecond: prefill, decodeTokensPerSecond: decode } = story.timings
  return `${story.promptTokens} tokens read at ${prefill.toFixed(0)}/s, ${story.tokens.length} written${decode ? ` at ${decode.toFixed(1)}/s` : ''} · ${method}${ledger.dense ? ' (dense: full attention serves this prompt better)' : method === 'full' ? '' : ` budget ${budget}`}`
    + ` · cache ${bytesText(ledger.kvBytes)} of ${bytesText(ledger.kvBytesFull)} under full · ${bytesText(ledger.memoryBytes)} in all`
}

const explanation = `  pocketkv run --model model.gguf --document book.txt --prompt "Who wrote the letter?"

Reads the document once, compresses its KV cache, and answers the question from what is left.
  --model M        a GGUF file, a URL, hf:owner/repo/file.gguf, or demo (embedded, the default)
  --document FILE  the long text; - is standard input, and it may be a URL
  --prompt TEXT    the question
  --method NAME    rocketkv unless told otherwise; \`pocketkv methods\` lists all, full keeps everything
  --budget N       the method's tokens (default 512)
  --json           one JSON document: the answer, times, bytes held
\`pocketkv run --help\` lists every flag; \`pocketkv demo\` shows the methods at work.`

/** Refuses a place for a file before the work that would fill it. */
async function writable(path: string): Promise<void> {
  try {
    const there = await stat(path).catch(() => null)
    await access(there ? path : dirname(path), constants.W_OK)
    if (there?.isDirectory()) throw Object.assign(new Error(), { code: 'EISDIR' })
  } catch (error) {
    throw usageError(`--kept must be a file that can be written, got ${path || 'nothing'} (${reason(error)})`)
  }
}

/** The answer as it comes, or nothing of it where a document is written at the end. */
async function tell(story: Story, bar: Bar, json: boolean): Promise<void> {
  try {
    for await (const text of story) {
      bar.stop()
      if (!json) await print(text)
    }
  } finally {
    bar.stop()
  }
}

export const run: Command = {
  name: 'run',
  summary: 'Reads a prompt and answers it',
  usage: '[--model M] [--document FILE] [--prompt TEXT] [flags]',
  examples: ['run --model model.gguf --document book.txt --prompt "Who wrote the letter?"', 'run --model model.gguf --prompt "Hello" --temperature 0.7 --json'],
  flags: { ...engineFlags, ...methodFlags, ...propagateFlag, ...promptFlags, ...templateFlags, ...answerFlags, ...recordFlags, ...outputFlags },
  async run(input) {
    if (input.words.length) throw usageError(`run takes flags only, got ${input.words[0]}`)
    const json = input.on('json'), keptFile = input.text('kept')
    if (['document', 'prompt', 'tokens'].every(flag => input.text(flag) === undefined)) {
      if (json) throw usageError('run needs --document, --prompt or --tokens, got none')
      return print(`${explanation}\n`)
    }
    const options = { ...optionsOf(input), propagate: propagateOf(input) }, top = input.whole('logits', 1), engine = engineOf(input), policy = options.method!, propagate = options.propagate
    // What can be refused before a model is loaded, perhaps from afar, is.
    samplingOf(options)
    stopMatcher(options.stop ?? [])
    if (keptFile !== undefined) await writable(keptFile)
    const prompt = await promptOf(input)
    const { model, loadMs } = await loadModel(input, { ...engine, ...options.context === undefined ? {} : { context: options.context } })
    const budget = options.budget ?? defaultBudget
    if (prompt.system !== undefined && !prompt.raw) tellFolded(model, input)
    const bar = progressBar('reading', 'tokens', !input.on('quiet'))
    const story = model.generate(prompt, { ...options, progress: (done, total) => bar.update(done, total) })
    await tell(story, bar, json)
    const read = story.timings.prefillMs > 0
    if (keptFile !== undefined && read)
      await writeFile(keptFile, `${JSON.stringify({ method: policy.name, budget, tokens: story.promptTokens, layers: await story.kept() })}\n`)
    if (json) {
      await printJson({
        model: model.name, architecture: model.config.architecture, method: policy.name, parameters: policy.parameters, budget, ...propagate ? { propagate } : {},
        backend: model.kernels.name, build: model.kernels.build, threads: model.kernels.threads, kv: model.kv, precision: model.precision,
        promptTokens: story.promptTokens, tokens: story.tokens, text: story.text, stopReason: endings[story.stopReason!],
        timings: { loadMs, ...story.timings }, ledger: story.ledger, ...top !== undefined && read ? { logits: logitSummary(await story.promptLogits(), top) } : {},
      })
    } else {
      if (story.tokens.length) await print('\n')
      if (!input.on('quiet')) say(story.stopReason === 'abort' && !read ? `interrupted while reading ${story.promptTokens} tokens` : summary(story, story.ledger!, policy.name, budget))
    }
    if (story.stopReason === 'abort') process.exitCode = 130
  },
}
