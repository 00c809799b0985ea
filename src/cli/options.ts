import { parseArgs } from 'node:util'

/** A flag: its type, what it means, and how its value is called in help. */
export interface Flag { readonly type: 'string' | 'boolean'; readonly help: string; readonly value?: string; readonly multiple?: boolean }
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

export const usageError = (message: string): Error => Object.assign(new RangeError(message), { code: 'usage' })

export const outputFlags: Flags = {
  json: { type: 'boolean', help: 'one JSON document on standard output' },
  quiet: { type: 'boolean', help: 'no progress' },
  'no-color': { type: 'boolean', help: 'no colours' },
  help: { type: 'boolean', help: 'this text' },
}

export const modelFlag: Flags = {
  model: { type: 'string', value: 'M', help: 'a GGUF file: a path, an https:// URL, or demo (the embedded model, the default)' },
}

export const engineFlags: Flags = {
  ...modelFlag,
  kv: { type: 'string', value: 'f32|i16', help: 'storage of keys and values (default i16)' },
  precision: { type: 'string', value: 'fast|exact', help: 'exact: all in f32, to compare with references (default fast)' },
  backend: { type: 'string', value: 'auto|wasm|reference', help: 'where it runs (default auto)' },
  build: { type: 'string', value: 'simd', help: 'force a wasm build' },
  threads: { type: 'string', value: 'N', help: 'threads (default 1)' },
}

export const methodFlags: Flags = {
  method: { type: 'string', value: 'NAME[,key=value…]', help: 'KV-cache method (default rocketkv; `pocketkv methods` lists all)' },
  budget: { type: 'string', value: 'N', help: "the method's budget in tokens (default 512)" },
}

/** Reads a command's arguments; throws with code `usage` at the first that does not fit. */
export function parse(command: Command, args: readonly string[], signal: AbortSignal): Input {
  let parsed
  try {
    parsed = parseArgs({ args: [...args], allowPositionals: true, strict: true,
      options: Object.fromEntries(Object.entries(command.flags).map(([name, { type, multiple = false }]) => [name, { type, multiple }])) })
  } catch (error) {
    throw usageError(`pocketkv ${command.name}: ${(error as Error).message.split('. To specify')[0]!.split('\n')[0]}`)
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

/** Help of a command: what it does, examples, then its flags. */
export function help({ name, summary, usage, examples, flags }: Command): string {
  const rows = Object.entries(flags).map(([flag, { value, help, multiple }]) => [`--${flag}${value ? ` ${value}` : ''}`, help + (multiple ? ' (repeatable)' : '')] as const)
  const width = Math.min(34, Math.max(...rows.map(([left]) => left.length)))
  return [`${summary}.`, '', ...examples.map(example => `  pocketkv ${example}`), '', `Usage: pocketkv ${name}${usage ? ` ${usage}` : ''}`, '',
    ...rows.map(([left, right]) => left.length > width ? `  ${left}\n  ${' '.repeat(width)}  ${right}` : `  ${left.padEnd(width)}  ${right}`)].join('\n')
}
