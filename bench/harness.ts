import { execFileSync } from 'node:child_process'
import { appendFileSync } from 'node:fs'
import { cpus } from 'node:os'
import type { Ceilings } from './ceilings.ts'

/** What the command line says to every bench. */
export interface Options {
  /** Fewer lengths, methods and rounds: a look, not a measurement. */
  readonly quick: boolean
  /** Only rows whose name contains this. */
  readonly only: string
  /** A file that gets one JSON line a result; `-`: the terminal gets them instead of the table. */
  readonly json: string
  /** Measured in this run, before the first bench. */
  readonly ceilings: Ceilings
  /** Tokens before decoding; empty: each bench's own. */
  readonly contexts: readonly number[]
  /** Rounds of the bench `peers`. */
  readonly rounds: number
  /** Engines that the bench `peers` leaves out: `wllama`, or `wllama@7616` at one context. */
  readonly skip: readonly string[]
  /** What is printed, as markdown, is kept for a file of results. */
  readonly notes: string[]
}

/** Milliseconds of repeated runs. */
export interface Times { readonly min: number; readonly median: number; /** Ninth decile over first: 1 on a quiet machine. */ readonly spread: number; readonly runs: number }

/** What a run did, in the unit that bounds it. */
export type Work =
  | { readonly unit: 'GB/s'; /** Bytes read and written, in all. */ readonly amount: number }
  | { readonly unit: 'GMAC/s'; readonly amount: number; /** Multiplied as f32 or as i16. */ readonly type: 'f32' | 'i16' }
  | { readonly unit: 'tokens/s'; readonly amount: number }

/** What a kernel must do at least, known by shape: bytes it reads and writes once each, multiply-adds by the type of their factors. */
export interface Load { readonly read: number; readonly written: number; readonly i16: number; readonly f32: number }

export type Shape = Readonly<Record<string, string | number>>
export type Extra = Readonly<Record<string, string | number | boolean>>

/** Takes what would else be work without an effect. */
let sunk = 0
export function sink(x: ArrayLike<number> | number): void {
  sunk += typeof x === 'number' ? x : x[0] ?? 0
  if (sunk === Math.PI) console.log(sunk)
}

export function timesOf(milliseconds: readonly number[]): Times {
  const sorted = [...milliseconds].sort((a, b) => a - b)
  const at = (share: number): number => sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))]!
  return { min: at(0), median: at(0.5), spread: at(0.9) / at(0.1), runs: sorted.length }
}

/**
 * Runs every body in turn, round by round, so that what disturbs the machine disturbs all of them alike. warmUp: rounds that do not count.
 * Milliseconds [bodies][rounds].
 */
export async function interleave(bodies: readonly (() => unknown)[], { rounds, warmUp = 1 }: { readonly rounds: number; readonly warmUp?: number }): Promise<number[][]> {
  const times: number[][] = bodies.map(() => [])
  for (let round = -warmUp; round < rounds; round++)
    for (const [i, body] of bodies.entries()) {
      const start = performance.now()
      await body()
      if (round >= 0) times[i]!.push(performance.now() - start)
    }
  return times
}

/** How often each round of `a` took as long as the same round of `b`: median of the quotients. */
export const ratio = (a: readonly number[], b: readonly number[]): number => timesOf(a.map((x, i) => x / b[i]!)).median

const digits = (x: number): string => x >= 1000 ? x.toFixed(0) : x >= 10 ? x.toFixed(1) : x.toFixed(3)
const rounded = (x: number): number => Number(x.toPrecision(4))

/** Percentage of this run's ceiling: of memory, or of multiply-adds in registers. */
function share(work: Work, rate: number, { copy, i16, f32 }: Ceilings): { of: string; percent: number } | null {
  switch (work.unit) {
    case 'GB/s': return { of: 'memcpy', percent: 100 * rate / copy }
    case 'GMAC/s': return { of: 'multiply-adds', percent: 100 * rate / (work.type === 'i16' ? i16 : f32) }
    case 'tokens/s': return null
    default: return work satisfies never
  }
}

/** Prints one result and writes its line. Rates are of the median. */
export function report(options: Options, name: string, shape: Shape, times: Times, work: Work | null, extra: Extra = {}): void {
  const perMs = work ? work.amount / times.median : 0
  const rate = work ? work.unit === 'tokens/s' ? perMs * 1e3 : perMs / 1e6 : 0
  const part = work && share(work, rate, options.ceilings)
  line(options, {
    name, ...shape, ms: rounds(times),
    ...work ? { rate: rounded(rate), unit: work.unit } : {}, ...part ? { percent: rounded(part.percent), of: part.of } : {}, ...extra,
  })
  const speed = work ? `  ${digits(rate)} ${work.unit}${part ? ` (${part.percent.toFixed(0)} % of ${part.of})` : ''}` : ''
  show(options, name, shape, times, speed, extra)
}

const rounds = ({ min, median, spread, runs }: Times) => ({ min: rounded(min), median: rounded(median), spread: rounded(spread), runs })

function show(options: Options, name: string, shape: Shape, times: Times, speed: string, extra: Extra): void {
  const pairs = (o: Shape | Extra): string => Object.entries(o).map(([key, value]) => `${key} ${value}`).join(' · ')
  say(options, `${name.padEnd(27)} ${pairs(shape).padEnd(50)} ${digits(times.min)} · ${digits(times.median)} ms · ×${times.spread.toFixed(2)}${speed}${Object.keys(extra).length ? '  ' + pairs(extra) : ''}`)
}

/**
 * Prints one kernel against its roof: how long this run's ceilings of memory, of i16 and of f32 multiply-adds alone would take for the
 * load; the longest binds, and its share of the median is what the kernel reaches.
 */
export function roof(options: Options, name: string, shape: Shape, times: Times, load: Load, extra: Extra = {}): void {
  const { ceilings } = options
  const alone = {
    memory: (load.read / ceilings.read + load.written / ceilings.copy) / 1e6,
    i16: load.i16 / ceilings.i16 / 1e6,
    f32: load.f32 / ceilings.f32 / 1e6,
  }
  const [binds, least] = (Object.entries(alone) as [keyof typeof alone, number][]).reduce((a, b) => b[1] > a[1] ? b : a)
  const rates = {
    'GB/s': rounded((load.read + load.written) / times.median / 1e6),
    ...load.i16 ? { 'i16 GMAC/s': rounded(load.i16 / times.median / 1e6) } : {}, ...load.f32 ? { 'f32 GMAC/s': rounded(load.f32 / times.median / 1e6) } : {},
  }
  const percent = 100 * least / times.median
  line(options, { name, ...shape, ms: rounds(times), ...rates, binds, percent: rounded(percent), ...extra })
  const speed = '  ' + Object.entries(rates).map(([unit, rate]) => `${digits(rate)} ${unit}`).join(' · ') + `  ${binds} binds: ${percent.toFixed(0)} % reached`
  show(options, name, shape, times, speed, extra)
}

/** A table in markdown, columns as wide as their cells. */
export function table(options: Options, head: readonly string[], rows: readonly (readonly (string | number)[])[]): void {
  const cells = [head, ...rows].map(row => row.map(cell => typeof cell === 'number' ? digits(cell) : cell))
  const widths = head.map((_, i) => Math.max(...cells.map(row => row[i]!.length)))
  const printed = cells.map(row => `| ${row.map((cell, i) => cell.padEnd(widths[i]!)).join(' | ')} |`)
  printed.splice(1, 0, `|${widths.map(width => '-'.repeat(width + 2)).join('|')}|`)
  say(options, printed.join('\n'))
}

/** One JSON object to where results go. */
export function line({ json }: Pick<Options, 'json'>, object: object): void {
  if (json === '-') console.log(JSON.stringify(object))
  else if (json) appendFileSync(json, JSON.stringify(object) + '\n')
}

/** What a reader sees. */
export function say({ json, notes }: Pick<Options, 'json' | 'notes'>, text: string): void {
  notes.push(text)
  if (json !== '-') console.log(text)
}

function commit(): string {
  try {
    const git = (...words: string[]): string => execFileSync('git', words, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim()
    return git('rev-parse', '--short', 'HEAD') + (git('status', '--porcelain', '--untracked-files=no') ? ' with changes' : '')
  } catch {
    return 'unknown'
  }
}

/** On what and of what the results are. */
export function header(options: Options, build: string): void {
  const { ceilings } = options
  const about = { processor: cpus()[0]?.model ?? 'unknown', cores: cpus().length, node: process.versions.node, v8: process.versions.v8, build: `wasm ${build}`, commit: commit() }
  line(options, { name: 'header', ...about, ceilings: Object.fromEntries(Object.entries(ceilings).map(([key, value]) => [key, rounded(value)])) })
  say(options, `# ${about.processor}, ${about.cores} cores · Node ${about.node} · V8 ${about.v8} · ${about.build} · commit ${about.commit}`)
  say(options, `# one thread: memcpy ${ceilings.copy.toFixed(1)} GB/s (read and written) · reading ${ceilings.read.toFixed(1)} GB/s · multiply-adds ${ceilings.i16.toFixed(1)} GMAC/s i16, ${ceilings.f32.toFixed(1)} GMAC/s f32`)
  say(options, '# least · median milliseconds · spread (ninth decile over first); rates are of the median')
}
