import { fault } from '../cache/fault.ts'
import { parseArgs } from 'node:util'
import { rowTypes, type RowType } from '../kernels/index.ts'

/** A flag: its type, what it means, and how its value is called in help. */
export interface Flag { readonly type: 'string' | 'boolean'; readonly help: string; readonly value?: string; readonly multiple?: boolean; readonly short?: string }
export type Flags = Readonly<Record<string, Flag>>

/** One command of the program. */
export interface Command {
  readonly name: string
  /** What it does, in one line. */
  readonly summary: string
  /** The line after `pocketkv`. */
  readonly usage: string
  /** Commands that can be typed as they stand. */
  readonly examples: readonly string[]
  readonly flags: Flags
  /** Ctrl-C is its own matter, as it ends an answer and not the program. */
  readonly interactive?: boolean
  run(input: Input): Promise<void>
}

/** What was typed, checked against the command's flags. */
export interface Input {
  readonly words: readonly string[]
  /** A flag's text; undefined where it was not given. */
  text(flag: string): string | undefined
  texts(flag: string): readonly string[]
  on(flag: string): boolean
  /** A flag's whole number from `least` on. */
  whole(flag: string, least?: number): number | undefined
  number(flag: string): number | undefined
  /** One of these words. */
  word<T extends string>(flag: string, words: readonly T[]): T | undefined
  readonly signal: AbortSignal
}

export const usageError = (message: string): Error => fault('usage', message)

export const outputFlags: Flags = {
  json: { type: 'boolean', help: 'one JSON document on standard output' },
  quiet: { type: 'boolean', help: 'no progress, no notes; errors only' },
  'no-color': { type: 'boolean', help: 'no colours (there are none yet)' },
  help: { type: 'boolean', short: 'h', help: 'this text' },
}

export const modelFlag: Flags = {
  model: { type: 'string', value: 'M', help: 'a GGUF file: a path, an https:// URL, hf:owner/repo[/file.gguf][:quant], or demo (embedded, the default)' },
}

export const kvFlag: Flags = { kv: { type: 'string', value: 'f32|i16|q8|q4|q2', help: 'storage of keys and values (default i16)' } }

export const engineFlags: Flags = {
  ...modelFlag, ...kvFlag,
  precision: { type: 'string', value: 'fast|exact', help: 'exact: all in f32, to compare with references (default fast)' },
  backend: { type: 'string', value: 'auto|wasm|reference', help: 'where it runs (default auto)' },
  build: { type: 'string', value: 'simd|relaxed', help: 'force a wasm build (default: the best that works here)' },
  threads: { type: 'string', value: 'N', help: 'threads that work together (default 1)' },
}

export const methodFlags: Flags = {
  method: { type: 'string', value: 'NAME[,key=value…]', help: 'KV-cache method (default rocketkv; `pocketkv methods` lists all); A+B puts two together' },
  budget: { type: 'string', value: 'N', help: "the method's budget in tokens (default 512)" },
}

export const propagateFlag: Flags = {
  propagate: { type: 'string', value: 'fastkv[,key=value…]', help: 'after a layer only the tokens go on that its last queries attend to: layer=N (about the middle), rate=R (0.2), window=N (8), kernel=N (7)' },
}

/** The cache type that `--kv` names. */
export const kvOf = (input: Input): RowType | undefined => input.word('kv', Object.keys(rowTypes) as RowType[])

const flagName = (arg: string): string => /^--[^=]+/.exec(arg)?.[0].slice(2) ?? ''

/** Whether `flag` stands among the arguments, before a `--` that ends flags. */
export function has(args: readonly string[], flag: string): boolean {
  const end = args.indexOf('--')
  return (end < 0 ? args : args.slice(0, end)).includes(flag)
}

/** Reads a command's arguments; throws with code `usage` at the first that does not fit. Where help is asked for, nothing else is checked. */
export function parse({ name, flags }: Command, args: readonly string[], signal: AbortSignal): Input {
  const options = Object.fromEntries(Object.entries(flags).map(([flag, { type, multiple = false, short }]) => [flag, { type, multiple, ...short ? { short } : {} }]))
  const parsed = parseArgs({ args: [...args], allowPositionals: true, strict: false, tokens: true, options })
  const given = parsed.tokens.filter(token => token.kind === 'option')
  if (!given.some(token => token.name === 'help')) for (const token of given) {
    const flag = Object.hasOwn(flags, token.name) ? flags[token.name] : undefined
    if (!flag) throw usageError(`${name}: flag must be one of ${Object.keys(flags).map(known => `--${known}`).join(', ')}, got ${args[token.index]}`)
    if (flag.type === 'boolean' && token.value !== undefined) throw usageError(`--${token.name} must stand alone, got ${token.value || 'an empty value'}`)
    const missing = token.value === undefined || !token.inlineValue && Object.hasOwn(flags, flagName(token.value))
    if (flag.type === 'string' && missing) throw usageError(`--${token.name} must have a value, got ${token.value ?? 'none'}`)
  }
  const values = parsed.values as Record<string, string | boolean | string[] | undefined>
  const text = (flag: string): string | undefined => values[flag] as string | undefined
  const number = (flag: string): number | undefined => {
    const given = text(flag)
    if (given === undefined) return undefined
    if (given.trim() === '' || !Number.isFinite(Number(given))) throw usageError(`--${flag} must be a number, got ${given || 'nothing'}`)
    return Number(given)
  }
  return {
    words: parsed.positionals, signal, text, number,
    texts: flag => (values[flag] as string[] | undefined) ?? [],
    on: flag => values[flag] === true,
    whole(flag, least = 0) {
      const value = number(flag)
      if (value !== undefined && !(Number.isSafeInteger(value) && value >= least)) throw usageError(`--${flag} must be a whole number from ${least} on, got ${text(flag)}`)
      return value
    },
    word(flag, words) {
      const value = text(flag)
      if (value !== undefined && !(words as readonly string[]).includes(value)) throw usageError(`--${flag} must be one of ${words.join(', ')}, got ${value || 'nothing'}`)
      return value as (typeof words)[number] | undefined
    },
  }
}

/** Help of a command: examples, what it does, then its flags. */
export function help({ name, summary, usage, examples, flags }: Command): string {
  const rows = Object.entries(flags).map(([flag, { value, help, multiple, short }]) =>
    [`${short ? `-${short}, ` : ''}--${flag}${value ? ` ${value}` : ''}`, help + (multiple ? ' (repeatable)' : '')] as const)
  const width = Math.min(34, Math.max(...rows.map(([left]) => left.length)))
  return [...examples.map(example => `  pocketkv ${example}`), '', `${summary}.`, '', `Usage: pocketkv ${name}${usage ? ` ${usage}` : ''}`, '',
    ...rows.map(([left, right]) => left.length > width ? `  ${left}\n  ${' '.repeat(width)}  ${right}` : `  ${left.padEnd(width)}  ${right}`)].join('\n')
}
