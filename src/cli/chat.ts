import { createInterface, type Interface } from 'node:readline'
import type { Model } from '../load.ts'
import type { Again, Conversation, Turn } from '../model/conversation.ts'
import { messagesOf } from '../model/prompt.ts'
import { samplingOf } from '../model/sample.ts'
import { stopMatcher } from '../tokenizer/index.ts'
import { engineOf, loadModel, tellFolded } from './engine.ts'
import { readText } from './files.ts'
import { engineFlags, methodFlags, outputFlags, usageError, type Command, type Flags, type Input } from './options.ts'
import { bytesText, print, printJson, progressBar, say } from './output.ts'
import { answerFlags, endings, optionsOf, templateFlags, templateOf } from './run.ts'

const defaults = { method: 'rocketkv-mt', temperature: 0.7 }

const flags: Flags = {
  ...engineFlags, ...methodFlags,
  method: { ...methodFlags['method']!, help: 'KV-cache method (default rocketkv-mt, which keeps every turn; `pocketkv methods` lists all)' },
  document: { type: 'string', value: 'FILE|URL', help: 'long text before the first question' },
  system: { type: 'string', value: 'TEXT', help: 'the system message' },
  ...templateFlags, ...answerFlags,
  temperature: { ...answerFlags['temperature']!, help: `0 takes the most likely token (default ${defaults.temperature})` },
  ...outputFlags,
}

const commands: Readonly<Record<string, string>> = {
  '/document FILE': 'reads a text with your next question; every later question finds it',
  '/stats': 'what the cache holds, and how fast it went',
  '/reset': 'begins anew; the system message stays',
  '/exit': 'leaves, as Ctrl-D does; Ctrl-C stops an answer',
  '/help': 'this list; a line that begins with a space is never a command, one that ends with \\ goes on in the next',
}
const commandList = (): string => Object.entries(commands).map(([name, what]) => `  ${name.padEnd(15)} ${what}`).join('\n')

const reasons: Readonly<Record<Again, string>> = {
  rewritten: 'the chat template writes earlier turns differently now', 'broken off': 'reading was broken off before',
}

/** What a turn was, for --json. */
const record = (content: string, turn: Turn) => ({
  prompt: content, text: turn.text, tokens: turn.tokens, stopReason: endings[turn.stopReason!], promptTokens: turn.promptTokens, readTokens: turn.readTokens,
  readAgain: turn.again, timings: turn.timings, ledger: turn.ledger,
})

/** Errors of one question, after which the next may be asked. */
const forgivable = new Set(['usage', 'fit', 'memory', 'model'])

interface Talk {
  readonly input: Input
  readonly model: Model
  readonly conversation: Conversation
  /** The signal of what goes on from now; Ctrl-C ends it. */
  begin(): AbortSignal
  end(): void
}

interface State { documents: string[]; last: Turn | null; turns: object[] }

async function ask({ input, conversation, begin, end }: Talk, state: State, question: string): Promise<void> {
  const quiet = input.on('quiet') || input.on('json')
  const [message] = messagesOf({ document: state.documents.join('\n\n'), prompt: question })
  const { content } = message!
  const bar = progressBar('reading', 'tokens', !quiet)
  const signal = begin()
  try {
    const turn = conversation.say(content, { signal, progress: (done, total) => bar.update(done, total) })
    if (turn.again && !quiet) say(`all ${turn.readTokens} tokens are read again: ${reasons[turn.again]}`)
    for await (const text of turn) {
      bar.stop()
      if (!input.on('json')) await print(text)
    }
    if (!input.on('json') && turn.text) await print('\n')
    // What was broken off before it was read was never said: the document waits for the next question.
    const read = turn.timings.prefillMs > 0
    if (!read && !quiet) say(`stopped while reading ${turn.readTokens} tokens: nothing of it stays`)
    if (read) state.documents = []
    state.last = turn
    state.turns.push(record(content, turn))
  } finally {
    bar.stop()
    end()
  }
}

async function stats({ conversation, model, input }: Talk, { last }: State): Promise<string> {
  const ledger = await conversation.ledger()
  if (!ledger || !last) return 'nothing was asked yet'
  const { prefillTokensPerSecond: prefill, decodeTokensPerSecond: decode } = last.timings
  return [
    `${ledger.tokensSeen} tokens in ${conversation.messages.filter(m => m.role === 'user').length} turns; trained context ${model.config.context}`,
    `last turn: ${last.readTokens} tokens read at ${prefill.toFixed(0)}/s, ${last.promptTokens - last.readTokens} were in the cache; ${last.tokens.length} written at ${decode.toFixed(1)}/s`,
    `cache ${bytesText(ledger.kvBytes)} of ${bytesText(ledger.kvBytesFull)} under full; a step reads ${Math.round(ledger.rowsReadPerStep)} rows${ledger.dense ? ' (dense: full attention serves this better)' : ''}`,
    `method ${input.text('method') ?? defaults.method}; ${bytesText(ledger.memoryBytes)} in all`,
  ].join('\n')
}

/** Does what a line says; true where it ends the conversation. */
async function obey(talk: Talk, state: State, line: string): Promise<boolean> {
  const [command = '', ...rest] = line.split(' '), argument = rest.join(' ').trim()
  if (!line.startsWith('/')) {
    await ask(talk, state, line.trim())
    return false
  }
  switch (command) {
    case '/exit': case '/quit': return true
    case '/help': say(commandList()); return false
    case '/stats': say(await stats(talk, state)); return false
    case '/reset':
      talk.conversation.reset()
      Object.assign(state, { documents: [], last: null })
      if (!talk.input.on('quiet')) say('begun anew')
      return false
    case '/document': {
      if (argument === '' || argument === '-') throw usageError(`/document must have a file or a URL, got ${argument || 'nothing'}`)
      const text = await readText(argument, { ...talk.input, signal: talk.begin() }).finally(talk.end)
      state.documents.push(text)
      if (!talk.input.on('quiet')) say(`${argument}: ${text.length} characters, read with your next question`)
      return false
    }
    default: throw usageError(`a command must be one of ${Object.keys(commands).map(name => name.split(' ')[0]).join(', ')}, got ${command}`)
  }
}

/** Lines as they are typed or piped; one that ends with a backslash goes on in the next. */
async function* linesOf(lines: Interface): AsyncGenerator<string> {
  let begun = ''
  lines.prompt()
  for await (const line of lines) {
    if (line.endsWith('\\')) {
      begun += `${line.slice(0, -1)}\n`
      continue
    }
    const whole = begun + line
    begun = ''
    if (whole.trim() !== '') yield whole
    lines.prompt()
  }
  if (begun.trim() !== '') yield begun
}

/** What Ctrl-C ends at the moment: loading, reading, an answer; nothing where a line is waited for. */
function interrupts() {
  let now: AbortController | null = new AbortController()
  return {
    /** Ends what goes on, and the program where that was not heard; false where nothing goes on. */
    interrupt(): boolean {
      if (now?.signal.aborted) process.exit(130)
      now?.abort()
      return now !== null
    },
    begin: (): AbortSignal => (now = new AbortController()).signal,
    end(): void { now = null },
    first: now.signal,
  }
}

export const chat: Command = {
  name: 'chat',
  summary: 'Talks in turns; each reads only what it adds',
  usage: '[--model M] [--document FILE] [--system TEXT] [flags]',
  examples: ['chat --model model.gguf', 'chat --model model.gguf --document book.txt', 'chat --model model.gguf --method full --temperature 0 < questions.txt'],
  flags, interactive: true,
  async run(given) {
    if (given.words.length) throw usageError(`chat takes flags only, got ${given.words[0]}`)
    const { interrupt, begin, end, first } = interrupts()
    let leave = (): void => {}, left = false
    const quit = (): void => {
      left = true
      leave()
    }
    process.on('SIGINT', () => { if (!interrupt()) quit() })
    given.signal.addEventListener('abort', () => { interrupt(); quit() })
    const input: Input = { ...given, signal: first }
    const { signal: _, ...options } = { temperature: defaults.temperature, ...optionsOf(input, defaults.method) }
    samplingOf(options)
    stopMatcher(options.stop ?? [])
    const engine = engineOf(input), file = input.text('document'), system = input.text('system'), template = await templateOf(input)
    if (file === '-') throw usageError('--document must be a file or a URL, as standard input holds the questions, got -')
    const state: State = { documents: file === undefined ? [] : [await readText(file, input)], last: null, turns: [] }
    const { model } = await loadModel(input, engine)
    if (system !== undefined) tellFolded(model, input)
    const conversation = model.chat({ ...options, system, template })
    const typed = process.stdin.isTTY === true && process.stdout.isTTY === true
    const lines = createInterface({ input: process.stdin, ...typed ? { output: process.stdout, prompt: '> ' } : { prompt: '' } })
    lines.on('SIGINT', () => process.emit('SIGINT'))
    leave = () => lines.close()
    end()
    const talk: Talk = { input, model, conversation, begin, end }
    if (typed && !input.on('quiet')) say(`${model.name} · ${options.method!.name} · /help lists commands`)
    try {
      for await (const line of linesOf(lines)) {
        const done = await obey(talk, state, line).catch(error => {
          const { code, name } = error as Error & { code?: string }
          if (!typed || name !== 'AbortError' && !forgivable.has(code ?? '')) throw error
          say(`${(error as Error).message}${code === 'fit' ? '; /reset begins anew' : ''}`)
          return false
        })
        if (done || left) break
      }
      if (input.on('json')) await printJson({ model: model.name, method: options.method!.name, turns: state.turns })
    } finally {
      lines.close()
      conversation.free()
    }
    if (left) process.exitCode = 130
  },
}
