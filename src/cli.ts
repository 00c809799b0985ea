#!/usr/bin/env node
import { chat } from './cli/chat.ts'
import { demo } from './cli/demo.ts'
import { evaluation } from './cli/eval.ts'
import { inspect } from './cli/inspect.ts'
import { methods } from './cli/methods.ts'
import { has, help, parse, usageError, type Command } from './cli/options.ts'
import { plain, print, printJson, say } from './cli/output.ts'
import { models } from './cli/models.ts'
import { plan } from './cli/plan.ts'
import { run } from './cli/run.ts'
import { template } from './cli/template.ts'
import { detokenize, tokenize } from './cli/tokens.ts'

const commands: readonly Command[] = [run, chat, demo, evaluation, methods, inspect, plan, models, tokenize, detokenize, template]

/** What the program ends with, by the code of an error. */
const exitCodes: Readonly<Record<string, number>> = { usage: 2, model: 3, fit: 4, memory: 4, backend: 5, interrupted: 130, internal: 1 }

const overview = (): string => `  pocketkv demo
  pocketkv run --model model.gguf --document book.txt --prompt "Who wrote the letter?"

Reads a GGUF model and a long text, compresses the KV cache, and answers from it.

${commands.map(({ name, summary }) => `  ${name.padEnd(11)} ${summary}`).join('\n')}

\`pocketkv COMMAND --help\` explains a command; \`pocketkv --version\` names this one.`

function commandOf(name: string): Command {
  const command = commands.find(c => c.name === name)
  if (!command) throw usageError(`command must be one of ${commands.map(c => c.name).join(', ')}, got ${name || 'nothing'}`)
  return command
}

async function main(args: readonly string[], interrupt: AbortController): Promise<void> {
  const [name, ...rest] = args
  const [topic] = rest
  if (name === undefined || ['--help', '-h', 'help'].includes(name) && topic === undefined) return print(`${overview()}\n`)
  if (['--help', '-h', 'help'].includes(name)) return print(`${help(commandOf(topic!))}\n`)
  if (name === '--version' || name === '-v') return print(`${await version()}\n`)
  const command = commandOf(name)
  const input = parse(command, rest, interrupt.signal)
  // Once: a second Ctrl-C ends the program where the first one is not heard.
  if (!command.interactive) process.once('SIGINT', () => interrupt.abort())
  await (input.on('help') ? print(`${help(command)}\n`) : command.run(input))
}

async function version(): Promise<string> {
  const { readFile } = await import('node:fs/promises')
  const { version } = JSON.parse(await readFile(new URL('../package.json', import.meta.url), 'utf8')) as { version: string }
  return version
}

/** What a failure is called in JSON. The engines say that memory ran out in words only. */
function codeOf(error: unknown): string {
  const { name, message, code } = error as { name?: string; message?: string; code?: unknown }
  if (name === 'AbortError') return 'interrupted'
  if (typeof code === 'string' && Object.hasOwn(exitCodes, code)) return code
  return error instanceof RangeError && /out of memory|could not allocate|allocation failed/i.test(String(message)) ? 'memory' : 'internal'
}

/** Says in one sentence what went wrong; gives the exit code. */
async function report(error: unknown, json: boolean): Promise<number> {
  const code = codeOf(error)
  const message = code === 'interrupted' ? 'interrupted' : (error instanceof Error ? error.message : String(error)).replace(/\s+/g, ' ').trim()
  if (json) await printJson({ error: { code, message } })
  say(`pocketkv: ${plain(message)}`)
  if (code === 'internal' && process.env['POCKETKV_DEBUG']) say(error instanceof Error ? error.stack ?? '' : '')
  return exitCodes[code]!
}

process.stdout.on('error', error => {
  if ((error as NodeJS.ErrnoException).code === 'EPIPE') process.exit(0)
})

const args = process.argv.slice(2)
const interrupt = new AbortController()
process.once('SIGTERM', () => interrupt.abort())
// What fails outside of any call that waits for it, as where the platform itself finds no memory.
for (const event of ['uncaughtException', 'unhandledRejection'])
  process.on(event, (error: unknown) => void report(error, has(args, '--json')).then(code => process.exit(code)))
try {
  await main(args, interrupt)
} catch (error) {
  process.exitCode = await report(error, has(args, '--json'))
}
// What still waits for a pipe or a server that says nothing is not waited for.
if (interrupt.signal.aborted) process.exit()
