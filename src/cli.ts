#!/usr/bin/env node
import { demo } from './cli/demo.ts'
import { inspect } from './cli/inspect.ts'
import { methods } from './cli/methods.ts'
import { help, parse, usageError, type Command } from './cli/options.ts'
import { print, say } from './cli/output.ts'
import { plan } from './cli/plan.ts'
import { run } from './cli/run.ts'
import { template } from './cli/template.ts'
import { detokenize, tokenize } from './cli/tokens.ts'

const commands: readonly Command[] = [run, demo, methods, inspect, plan, tokenize, detokenize, template]

/** What the program ends with, by the code of an error. */
const exitCodes: Readonly<Record<string, number>> = { usage: 2, model: 3, fit: 4, memory: 4, backend: 5 }

const overview = (): string => `pocketkv reads a GGUF model and a long text, compresses the KV cache, and answers from it.

  pocketkv demo
  pocketkv run --model model.gguf --document book.txt --prompt "Who wrote the letter?"

${commands.map(({ name, summary }) => `  ${name.padEnd(11)} ${summary}`).join('\n')}

\`pocketkv COMMAND --help\` explains a command.`

async function main(args: readonly string[]): Promise<void> {
  const [name, ...rest] = args
  if (name === undefined || name === '--help' || name === '-h' || name === 'help') return print(`${overview()}\n`)
  if (name === '--version') return print(`${await version()}\n`)
  const command = commands.find(c => c.name === name)
  if (!command) throw usageError(`command must be one of ${commands.map(c => c.name).join(', ')}, got ${name}`)
  if (rest.includes('--help') || rest.includes('-h')) return print(`${help(command)}\n`)
  const interrupt = new AbortController()
  process.once('SIGINT', () => interrupt.abort())
  process.once('SIGTERM', () => interrupt.abort())
  await command.run(parse(command, rest, interrupt.signal))
}

async function version(): Promise<string> {
  const { readFile } = await import('node:fs/promises')
  const { version } = JSON.parse(await readFile(new URL('../package.json', import.meta.url), 'utf8')) as { version: string }
  return version
}

process.stdout.on('error', error => {
  if ((error as NodeJS.ErrnoException).code === 'EPIPE') process.exit(0)
})

const args = process.argv.slice(2)
try {
  await main(args)
} catch (error) {
  const { name, message, code } = error as Error & { code?: string }
  const interrupted = name === 'AbortError'
  const known = typeof code === 'string' && code in exitCodes
  const text = interrupted ? 'interrupted' : message
  if (args.includes('--json')) await print(`${JSON.stringify({ error: { code: interrupted ? 'interrupted' : known ? code : 'internal', message: text } })}\n`)
  say(`pocketkv: ${text}`)
  if (!interrupted && !known && process.env['POCKETKV_DEBUG']) say((error as Error).stack ?? '')
  process.exitCode = interrupted ? 130 : known ? exitCodes[code]! : 1
}
