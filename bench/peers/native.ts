import { pathToFileURL } from 'node:url'
import type { Engine } from './engine.ts'

/** The part of node-llama-cpp that is used; the package is not there when types are checked. */
interface NodeLlama {
  readonly LlamaLogLevel: { readonly error: string }
  getLlama(options: object): Promise<{ loadModel(options: object): Promise<{ createContext(options: object): Promise<{ getSequence(): LlamaSequence }> }>; dispose(): Promise<void> }>
}
interface LlamaSequence {
  clearHistory(): Promise<void>
  evaluateWithoutGeneratingNewTokens(ids: readonly number[]): Promise<void>
  evaluate(ids: readonly number[], options: object): AsyncIterable<number>
}

/** llama.cpp native, as node-llama-cpp has it prebuilt. entry: its module. */
export async function native(entry: string): Promise<Engine> {
  const { getLlama, LlamaLogLevel } = await import(pathToFileURL(entry).href) as NodeLlama
  let sequence: LlamaSequence | undefined, end = async (): Promise<void> => {}
  return {
    async open({ model: modelPath, context, kv, flash }) {
      const start = performance.now()
      const llama = await getLlama({ gpu: false, build: 'never', logLevel: LlamaLogLevel.error, maxThreads: 1 })
      end = () => llama.dispose()
      const model = await llama.loadModel({ modelPath, gpuLayers: 0 })
      const type = kv.toUpperCase()
      const made = await model.createContext({
        contextSize: Math.ceil((context + 8) / 256) * 256, batchSize: 512, threads: 1, flashAttention: flash,
        experimentalKvCacheKeyType: type, experimentalKvCacheValueType: type,
      })
      sequence = made.getSequence()
      return { loadMs: performance.now() - start }
    },
    async run({ ids, answer }) {
      await sequence!.clearHistory()
      const start = performance.now()
      await sequence!.evaluateWithoutGeneratingNewTokens(ids.slice(0, -1))
      const read = performance.now()
      let first = 0, drawn = 0
      for await (const _ of sequence!.evaluate(ids.slice(-1), { temperature: 0, yieldEogToken: true })) {
        first ||= performance.now()
        if (++drawn === answer) break
      }
      return { promptTokens: ids.length, prefillMs: read - start, firstTokenMs: first - start, decoded: drawn - 1, decodeMs: performance.now() - first, memoryBytesPeak: 0 }
    },
    close: () => end(),
  }
}
