import { readFileSync, readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { line, say, timesOf, type Options } from '../harness.ts'
import { modelName, modelPath } from '../network.ts'
import { openBrowser, type Browser, type Shipped } from './browser.ts'
import { inProcess } from './children.ts'
import type { Engine, Opened, Ran, Setup } from './engine.ts'
import { installPeers } from './install.ts'
import { prompts, type Prompt } from './prompt.ts'
import { rowsOf, tableOf, type Measured } from './rows.ts'

const budget = 256
/** Tokens drawn: the first one is the end of the prefill, the others are the decode. */
const answer = 49, quickAnswer = 9
const contexts = [512, 2048, 4096, 7616]
/** Where cache types are tried, and from where on wllama, which reads some ten tokens a second, has one round. */
const trialTokens = 2048, slowFrom = 1025

/** One line of the table before it has numbers. */
export interface Contender {
  readonly engine: 'pocketkv' | 'wllama' | 'native'
  readonly runtime: 'chromium' | 'node'
  readonly method: string
  readonly kv: string
  readonly flash: boolean
}

const ours = (runtime: 'chromium' | 'node'): Contender[] => ['full', 'rocketkv'].map(method => ({ engine: 'pocketkv', runtime, method, kv: 'i16', flash: false }))
const wllama = (kv: string, flash: boolean): Contender => ({ engine: 'wllama', runtime: 'chromium', method: 'full', kv, flash })
const native = (kv: string, flash: boolean): Contender => ({ engine: 'native', runtime: 'node', method: 'full', kv, flash })

/** Cache types that may be a peer's fastest. */
const trials = { wllama: [wllama('f16', false), wllama('q8_0', true)], native: [native('f16', false), native('f16', true), native('q8_0', true)] } as const

interface Host { readonly browser: Browser; readonly modules: string; readonly options: Options }
interface Started { readonly engine: Engine; shipped(): Shipped; readonly opened: Opened }

const nameOf = ({ engine, runtime }: Contender): string => engine === 'pocketkv' ? runtime : engine
const skipped = ({ skip }: Options, contender: Contender, tokens: number): boolean => [nameOf(contender), `${nameOf(contender)}@${tokens}`].some(name => skip.includes(name))

const root = fileURLToPath(new URL('../..', import.meta.url))

/** Bytes of the files in folders. */
function folderBytes(folders: readonly string[]): number {
  return folders.flatMap(folder => readdirSync(folder, { recursive: true }).map(name => statSync(join(folder, String(name)))))
    .reduce((sum, entry) => sum + (entry.isFile() ? entry.size : 0), 0)
}

/** What an installation for Node lays down: what is built and the packages it needs; of the native engine its code and binaries, without what they need. */
function installed(kind: Contender['engine'], modules: string): Shipped {
  const { dependencies } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { dependencies: Record<string, string> }
  const folders = kind === 'native' ? ['node-llama-cpp', '@node-llama-cpp/linux-x64'].map(name => join(modules, name))
    : [join(root, 'dist'), ...Object.keys(dependencies).map(name => join(root, 'node_modules', name))]
  return { bytes: folderBytes(folders), gzip: 0 }
}

async function start({ browser, modules }: Host, contender: Contender, tokens: number, drawn: number): Promise<Started> {
  const { engine: kind, runtime, method, kv, flash } = contender
  const setup: Setup = { model: modelPath, context: tokens + drawn, method, budget, kv, flash }
  const page = runtime === 'chromium' ? await browser.page(kind === 'wllama' ? 'wllama' : 'ours') : undefined
  const engine = page?.engine ?? inProcess(kind === 'native' ? join(modules, 'node-llama-cpp/dist/index.js') : undefined)
  const shipped = (): Shipped => page?.shipped() ?? installed(kind, modules)
  try {
    return { engine, shipped, opened: await engine.open(setup) }
  } catch (error) {
    await engine.close()
    throw error
  }
}

async function ask({ engine }: Started, prompt: Prompt, drawn: number): Promise<Ran> {
  const ran = await engine.run({ ...prompt, answer: drawn })
  if (ran.promptTokens !== prompt.ids.length) throw new Error(`every engine must read the same ${prompt.ids.length} tokens, got ${ran.promptTokens}`)
  return ran
}

/** What a reader is told of an engine that does not run; the others go on. */
function missing(options: Options, contender: Contender, context: number, error: unknown): void {
  line(options, { name: 'peers failed', ...contender, context, error: String(error) })
  say(options, `# ${contender.engine} in ${contender.runtime} with ${contender.kv} at ${context} tokens is not measured: ${String(error)}`)
}

/** A peer's fastest cache type, by decode at one length; null where none runs. */
async function fastest(host: Host, candidates: readonly Contender[], prompt: Prompt, drawn: number): Promise<Contender | null> {
  const tokens = prompt.ids.length
  let best: Contender | null = null, most = 0
  for (const candidate of candidates)
    try {
      const started = await start(host, candidate, tokens, drawn)
      const { decoded, decodeMs, prefillMs } = await ask(started, prompt, drawn).finally(() => started.engine.close())
      const rate = decoded / decodeMs * 1e3, prefillRate = tokens / prefillMs * 1e3, { engine, kv, flash } = candidate
      line(host.options, { name: 'peers trial', engine, kv, flash, context: tokens, decodeTokensPerSecond: rate, prefillTokensPerSecond: prefillRate })
      say(host.options, `# ${engine} with ${kv}${flash ? ' and flash attention' : ''} at ${tokens} tokens: ${rate.toFixed(1)} tokens/s, prefill ${prefillRate.toFixed(1)} tokens/s`)
      if (rate > most) [best, most] = [candidate, rate]
    } catch (error) {
      missing(host.options, candidate, tokens, error)
    }
  return best
}

/** A contender at one context; `failed` once it could not go on, so that the others are measured all the same. */
interface Entry { readonly contender: Contender; started?: Started; readonly runs: Ran[]; failed?: boolean }

/** All engines at one context: started one after the other, then prompt and answer of each in turn, round by round. */
async function compare(host: Host, contenders: readonly Contender[], prompt: Prompt, drawn: number): Promise<Measured[]> {
  const tokens = prompt.ids.length, { options } = host
  const entries = contenders.map((contender): Entry => ({ contender, runs: [] }))
  const attempt = async (entry: Entry, part: () => Promise<void>): Promise<void> => {
    if (entry.failed) return
    await part().catch((error: unknown) => {
      entry.failed = true
      missing(options, entry.contender, tokens, error)
    })
  }
  try {
    for (const entry of entries) await attempt(entry, async () => { entry.started = await start(host, entry.contender, tokens, drawn) })
    for (let round = 0; round < (options.quick ? 1 : options.rounds); round++)
      for (const entry of entries)
        if (round === 0 || entry.contender.engine !== 'wllama' || tokens < slowFrom)
          await attempt(entry, async () => { entry.runs.push(await ask(entry.started!, prompt, drawn)) })
  } finally {
    for (const { started } of entries) await started?.engine.close().catch(() => {})
  }
  return entries.filter(entry => !entry.failed).map(({ contender, started, runs }) => measured(contender, tokens, started!, runs))
}

/** Medians of the rounds, most of the memory. */
function measured(contender: Contender, context: number, { opened, shipped }: Started, runs: readonly Ran[]): Measured {
  const median = (of: (ran: Ran) => number): number => timesOf(runs.map(of)).median
  return {
    ...contender, context, rounds: runs.length, ...opened, shipped: shipped(),
    decodeTokensPerSecond: median(ran => ran.decoded / ran.decodeMs * 1e3), prefillTokensPerSecond: median(ran => ran.promptTokens / ran.prefillMs * 1e3),
    firstTokenMs: median(ran => ran.firstTokenMs), memoryBytesPeak: Math.max(...runs.map(ran => ran.memoryBytesPeak)),
    rssBytesPeak: Math.max(...runs.map(ran => ran.rssBytesPeak ?? 0)),
  }
}

/** wllama in Chromium and llama.cpp native beside our engine in the same browser and in Node: same file, prompt and one thread. */
export async function bench(options: Options): Promise<void> {
  const modules = installPeers(text => say(options, text))
  const browser = await openBrowser(modules, modelPath)
  const host: Host = { browser, modules, options }
  const lengths = options.contexts.length ? options.contexts : options.quick ? [256] : contexts
  const drawn = options.quick ? quickAnswer : answer
  try {
    say(options, `# ${modelName} · Chromium ${browser.version} · one thread each · ${drawn - 1} tokens decoded · rocketkv at a budget of ${budget}`)
    const promptOf = await prompts(modelPath)
    const trial = promptOf(Math.min(options.quick ? 128 : trialTokens, Math.max(...lengths)))
    const peers: Contender[] = []
    for (const candidates of Object.values(trials))
      if (!options.skip.includes(candidates[0].engine)) peers.push(...[await fastest(host, candidates, trial, drawn)].filter(peer => peer !== null))
    const contenders = [...ours('chromium'), ...peers.filter(peer => peer.runtime === 'chromium'), ...ours('node'), ...peers.filter(peer => peer.runtime === 'node')]
    const all: Measured[] = []
    for (const tokens of lengths) {
      const rows = await compare(host, contenders.filter(contender => !skipped(options, contender, tokens)), promptOf(tokens), drawn)
      all.push(...rows)
      for (const row of rowsOf(rows)) line(options, row)
      say(options, `# ${tokens} tokens done`)
    }
    tableOf(options, all)
  } finally {
    await browser.close()
  }
}
