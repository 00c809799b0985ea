import type { Engine } from '../engine.ts'

const worker = new Worker('/bench/worker.js', { type: 'module' })

const call = <T>(call: keyof Engine, given?: unknown): Promise<T> => new Promise((done, failed) => {
  worker.onmessage = ({ data: { result, error } }: MessageEvent<{ result: T; error?: string }>) => error === undefined ? done(result) : failed(new Error(error))
  worker.onerror = event => failed(new Error(event.message))
  worker.postMessage({ call, given })
})

const engine: Engine = { open: setup => call('open', setup), run: task => call('run', task), close: () => call('close') }
Object.assign(globalThis, { engine })
