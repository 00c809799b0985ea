import { fault } from '../cache/fault.ts'
import { load, type LoadOptions, type Model } from '../load.ts'
import { parseMethod } from '../methods/index.ts'
import { parsePropagation, type Propagation } from '../model/propagate.ts'
import type { Policy } from '../cache/policy.ts'
import { chatTemplate } from '../tokenizer/index.ts'
import { builds } from '../wasm/index.ts'
import { progressBar, say } from './output.ts'
import { modelPath } from './source.ts'
import { kvOf, usageError, type Input } from './options.ts'

/** The engine's flags, checked before any file is opened. */
export function engineOf(input: Input): LoadOptions {
  const backend = input.word('backend', ['auto', 'wasm', 'webgpu', 'reference'] as const)
  const build = input.word('build', builds), kv = kvOf(input)
  const precision = input.word('precision', ['fast', 'exact'] as const)
  const threads = input.whole('threads', 1)
  if (backend === 'webgpu') throw fault('backend', '--backend must be auto, wasm or reference in this version, got webgpu')
  if (build !== undefined && backend === 'reference') throw usageError(`--build must go with the wasm backend, got --backend ${backend}`)
  if (precision === 'exact' && kv !== undefined && kv !== 'f32') throw usageError(`--kv must be f32 where --precision is exact, got ${kv}`)
  return { ...backend ? { backend } : {}, ...build ? { build } : {}, ...kv ? { kv } : {}, ...precision ? { precision } : {}, ...threads ? { threads } : {} }
}

/** Loads what `--model` names, as the engine's flags say, with a progress bar. */
export async function loadModel(input: Input, options = engineOf(input)): Promise<{ readonly model: Model; readonly loadMs: number }> {
  const arriving = progressBar('downloading', 'MB', !input.on('quiet'))
  const source = await modelPath(input.text('model'), { signal: input.signal, progress: (done, total) => arriving.update(done / 1e6, total / 1e6) }).finally(arriving.stop)
  const bar = progressBar('loading', 'MB', !input.on('quiet'))
  const started = performance.now()
  try {
    const model = await load(source, { ...options, signal: input.signal, progress: (done, total) => bar.update(done / 1e6, total / 1e6) })
    const loadMs = performance.now() - started
    const { threads } = model.kernels
    if (options.threads !== undefined && threads < options.threads && !input.on('quiet')) say(`--threads ${options.threads}: ${threads === 1 ? 'one thread runs' : `${threads} threads run`}, since ${model.kernels.name === 'reference' ? 'the reference is plain loops' : 'memory cannot be shared here'}`)
    return { model, loadMs }
  } finally {
    bar.stop()
  }
}

export function propagateOf(input: Input): Propagation | undefined {
  const text = input.text('propagate')
  return text === undefined ? undefined : parsePropagation(text)
}

export const policyOf = (input: Input, otherwise = 'rocketkv'): Policy => parseMethod(input.text('method') ?? otherwise)

/** Says where a template has no place for a system message. */
export function tellFolded({ header, tokenizer }: Model, input: Input): void {
  if (!input.on('quiet') && chatTemplate(header.metadata, tokenizer).foldsSystem)
    say('the chat template takes no system message: it stands before the first question instead')
}
