import type { Engine } from '../engine.ts'

/** The part of @wllama/wllama that is used. It runs llama.cpp in a worker of its own. */
interface Wllama {
  loadModel(files: readonly File[], options: object): Promise<void>
  createCompletion(options: object): Promise<{ readonly timings: { readonly prompt_n: number; readonly prompt_ms: number; readonly predicted_n: number; readonly predicted_ms: number } }>
  exit(): Promise<void>
}

/** Put before the script of its worker: the linear memory becomes reachable, by `linearMemory`, and nothing else changes. */
const watch = `{
  const { Memory } = WebAssembly
  WebAssembly.Memory = class extends Memory { constructor(limits) { super(limits); globalThis.linearMemory = this } }
  for (const name of ['instantiate', 'instantiateStreaming']) {
    const plain = WebAssembly[name]
    WebAssembly[name] = async (...given) => {
      const made = await plain(...given)
      for (const part of Object.values((made.instance ?? made).exports)) if (part instanceof Memory) globalThis.linearMemory = part
      return made
    }
  }
}
`
const urlOf = URL.createObjectURL
URL.createObjectURL = given => urlOf(given instanceof Blob && given.type.includes('javascript') ? new Blob([watch, given], { type: given.type }) : given)

let wllama: Wllama | undefined

/** Errors of the native part reach the log only. */
const log: string[] = []
const keep = (...words: unknown[]): void => { log.push(words.join(' ').slice(0, 300)) }

const engine: Engine = {
  async open({ model, context, kv, flash }) {
    const at = '/wllama/index.min.js'
    const blob = await (await fetch(model)).blob()
    const start = performance.now()
    const { Wllama } = await import(at) as { Wllama: new (paths: object, options: object) => Wllama }
    wllama = new Wllama({ default: '/wllama/wasm/wllama.wasm' }, { logger: { debug: keep, log: keep, warn: keep, error: keep }, allowOffline: true })
    await wllama.loadModel([new File([blob], 'model.gguf')], {
      n_ctx: Math.ceil((context + 8) / 256) * 256, n_threads: 1, n_gpu_layers: 0, n_parallel: 1, n_batch: 512, warmup: false,
      cache_type_k: kv, cache_type_v: kv, flash_attn: flash,
    })
    return { loadMs: performance.now() - start }
  },
  async run({ text, answer }) {
    try {
      const { timings } = await wllama!.createCompletion({ prompt: text, max_tokens: answer, temperature: 0, top_k: 1, ignore_eos: true, cache_prompt: false, stream: false })
      // Its clock of the answer starts when the first token is drawn.
      return {
        promptTokens: timings.prompt_n, prefillMs: timings.prompt_ms, firstTokenMs: timings.prompt_ms,
        decoded: timings.predicted_n - 1, decodeMs: timings.predicted_ms, memoryBytesPeak: 0,
      }
    } catch (error) {
      throw new Error(`${String(error)}; its log ends: ${log.slice(-3).join(' | ')}`, { cause: error })
    }
  },
  close: async () => wllama?.exit(),
}
Object.assign(globalThis, { engine })
