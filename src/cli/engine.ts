import { load, type LoadOptions, type Model } from '../load.ts'
import { parseMethod } from '../methods/index.ts'
import type { Policy } from '../cache/policy.ts'
import { builds } from '../wasm/index.ts'
import { modelSource } from './files.ts'
import { progressBar } from './output.ts'
import { usageError, type Input } from './options.ts'

/** Loads what `--model` names, as the engine's flags say, with a progress bar. */
export async function loadModel(input: Input): Promise<{ readonly model: Model; readonly loadMs: number }> {
  const bar = progressBar('loading', 'MB', !input.on('quiet') && !input.on('json'))
  const started = performance.now()
  const backend = input.word('backend', ['auto', 'wasm', 'webgpu', 'reference'] as const)
  const build = input.word('build', builds)
  const kv = input.text('kv')
  if (kv !== undefined && kv !== 'f32' && kv !== 'i16') throw usageError(`--kv must be f32 or i16 in this version, got ${kv}`)
  const precision = input.word('precision', ['fast', 'exact'] as const)
  const threads = input.whole('threads', 1)
  const options: LoadOptions = {
    signal: input.signal, progress: (done, total) => bar.update(done / 1e6, total / 1e6),
    ...backend ? { backend } : {}, ...build ? { build } : {}, ...kv ? { kv } : {}, ...precision ? { precision } : {}, ...threads ? { threads } : {},
  }
  try {
    const model = await load(modelSource(input.text('model')), options)
    return { model, loadMs: performance.now() - started }
  } finally {
    bar.stop()
  }
}

export const policyOf = (input: Input): Policy => parseMethod(input.text('method') ?? 'rocketkv')
