import { fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import type { Engine } from './engine.ts'

const script = fileURLToPath(new URL('child.ts', import.meta.url))
const dist = fileURLToPath(new URL('../../dist', import.meta.url))

/** An engine in a process of its own. entry: the module of node-llama-cpp; without it, our built package. */
export function inProcess(entry?: string): Engine {
  const child = fork(script, entry ? ['native', entry] : ['ours', dist], { execArgv: ['--import', 'tsx'] })
  const call = <T>(call: keyof Engine, given?: unknown): Promise<T> => new Promise((done, failed) => {
    const gone = (code: number | null): void => failed(new Error(`a child must answer ${call}, got its end with code ${code}`))
    child.once('exit', gone)
    child.once('message', message => {
      child.off('exit', gone)
      const { result, error } = message as { result?: T; error?: string }
      if (error === undefined) done(result as T)
      else failed(new Error(error))
    })
    child.send({ call, given })
  })
  return {
    open: setup => call('open', setup),
    run: task => call('run', task),
    async close() {
      if (child.connected) await call('close').finally(() => child.kill())
    },
  }
}
