import { say, table, type Options } from '../harness.ts'
import type { Shipped } from './browser.ts'
import type { Opened } from './engine.ts'
import type { Contender } from './index.ts'

/** One engine at one context: medians of its rounds, most of its memory. */
export interface Measured extends Contender, Opened {
  readonly context: number
  readonly rounds: number
  readonly decodeTokensPerSecond: number
  readonly prefillTokensPerSecond: number
  readonly firstTokenMs: number
  readonly memoryBytesPeak: number
  /** 0 where the engine has no process of its own. */
  readonly rssBytesPeak: number
  readonly shipped: Shipped
}

const quantities = ['decodeTokensPerSecond', 'prefillTokensPerSecond', 'memoryBytesPeak', 'loadMs', 'firstTokenMs'] as const
const rounded = (x: number): number => Number(x.toPrecision(4))

/** Ours under a method, at the same context and in the same runtime. */
const us = (all: readonly Measured[], row: Measured, method: string): Measured | undefined =>
  all.find(other => other.engine === 'pocketkv' && other.method === method && other.context === row.context && other.runtime === row.runtime)

/** Every quantity of `row` over ours. */
function ratios(row: Measured, ours: Measured | undefined): Record<string, number> | null {
  if (!ours) return null
  const gzip = ours.shipped.gzip ? { bytesShippedGzip: rounded(row.shipped.gzip / ours.shipped.gzip) } : {}
  return { ...Object.fromEntries(quantities.map(name => [name, rounded(row[name] / ours[name])])), bytesShipped: rounded(row.shipped.bytes / ours.shipped.bytes), ...gzip }
}

/** One JSON object a row. Ratios are the row's number over ours: above 1 is faster where it is a rate, and more where it is bytes or time. */
export function rowsOf(all: readonly Measured[]): object[] {
  return all.map(row => {
    const { engine, runtime, context, method, kv, flash, rounds, firstKernelMs, rssBytesPeak, shipped } = row
    return {
      name: 'peers', engine, runtime, context, method, kv, ...engine === 'pocketkv' ? {} : { flash }, threads: 1, rounds,
      ...Object.fromEntries(quantities.map(name => [name, name === 'memoryBytesPeak' ? row[name] : rounded(row[name])])), ...firstKernelMs === undefined ? {} : { firstKernelMs: rounded(firstKernelMs) },
      ...rssBytesPeak ? { rssBytesPeak } : {}, bytesShipped: shipped.bytes, ...shipped.gzip ? { bytesShippedGzip: shipped.gzip } : {},
      toFull: ratios(row, us(all, row, 'full')), toRocketkv: ratios(row, us(all, row, 'rocketkv')),
    }
  })
}

const megabytes = (bytes: number): string => bytes ? (bytes / 1e6).toFixed(bytes < 1e7 ? 2 : 0) : ''

/** A row's number as it reads, and over ours under full and under rocketkv where ours was measured. */
function cell(all: readonly Measured[], row: Measured, of: (row: Measured) => number, text = (x: number): string => x.toPrecision(3)): string {
  const x = of(row)
  if (!x) return ''
  const over = ['full', 'rocketkv'].map(method => us(all, row, method)).map(mine => mine ? `×${(x / of(mine)).toFixed(2)}` : '–')
  return `${text(x)} (${over.join(' ')})`
}

/** One table of everything. */
export function tableOf(options: Options, all: readonly Measured[]): void {
  const whole = (x: number): string => x.toFixed(0)
  say(options, '# in brackets: over ours in the same runtime, under full and under rocketkv')
  table(options, ['context', 'engine', 'method', 'kv', 'decode tokens/s', 'prefill tokens/s', 'memory MB', 'load ms', 'first token ms', 'first kernel ms', 'shipped MB', 'gzip MB', 'RSS MB', 'rounds'],
    all.map(row => [
      String(row.context), `${row.engine} (${row.runtime})`, row.method, row.kv + (row.flash ? ' flash' : ''),
      cell(all, row, r => r.decodeTokensPerSecond), cell(all, row, r => r.prefillTokensPerSecond), cell(all, row, r => r.memoryBytesPeak, megabytes),
      cell(all, row, r => r.loadMs, whole), cell(all, row, r => r.firstTokenMs, whole), row.firstKernelMs?.toFixed(0) ?? '',
      cell(all, row, r => r.shipped.bytes, megabytes), cell(all, row, r => r.shipped.gzip, megabytes), megabytes(row.rssBytesPeak), String(row.rounds),
    ]))
}
