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

const over = (a: number, b: number | undefined): string => b ? `×${(a / b).toFixed(2)}` : ''
const megabytes = (bytes: number): string => bytes ? (bytes / 1e6).toFixed(bytes < 1e7 ? 2 : 0) : ''

/** Two tables: speed and memory; start and size. */
export function tableOf(options: Options, all: readonly Measured[]): void {
  const name = ({ engine, runtime }: Measured): string => `${engine} (${runtime})`
  const type = ({ kv, flash }: Measured): string => kv + (flash ? ' flash' : '')
  const against = (row: Measured, of: (row: Measured) => number): string[] =>
    ['full', 'rocketkv'].map(method => over(of(row), (mine => mine && of(mine))(us(all, row, method))))
  say(options, '# × full, × rocketkv: the number over ours in the same runtime; memory is a wasm engine\'s linear memory, of native the process\'s; RSS is a process of Node with it')
  table(options, ['context', 'engine', 'method', 'kv', 'decode tokens/s', '× full', '× rocketkv', 'prefill tokens/s', '× full', '× rocketkv', 'memory MB', '× full', '× rocketkv', 'RSS MB'],
    all.map(row => [String(row.context), name(row), row.method, type(row), row.decodeTokensPerSecond, ...against(row, r => r.decodeTokensPerSecond),
      row.prefillTokensPerSecond, ...against(row, r => r.prefillTokensPerSecond), megabytes(row.memoryBytesPeak), ...against(row, r => r.memoryBytesPeak), megabytes(row.rssBytesPeak)]))
  say(options, '# shipped: what a page fetches, or what an installation for Node lays down; × full of the former compressed')
  table(options, ['context', 'engine', 'method', 'load ms', '× full', 'first token ms', '× full', '× rocketkv', 'first kernel ms', 'shipped MB', 'gzip MB', '× full'],
    all.map(row => [String(row.context), name(row), row.method, row.loadMs, against(row, r => r.loadMs)[0]!, row.firstTokenMs, ...against(row, r => r.firstTokenMs),
      row.firstKernelMs ?? '', megabytes(row.shipped.bytes), megabytes(row.shipped.gzip), against(row, r => r.shipped.gzip || r.shipped.bytes)[0]!]))
}
