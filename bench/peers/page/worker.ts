// Our engine in a web worker, from the bundle the page is served: answers messages in order.
import type { Engine, Setup, Task } from '../engine.ts'
import { ours, type Library } from '../ours.ts'

/** What a worker has and this project's types do not name. */
const here = globalThis as unknown as { onmessage: (event: MessageEvent<{ call: keyof Engine; given?: unknown }>) => void; postMessage(message: object): void }

let engine: Engine | undefined

async function answer(call: keyof Engine, given: unknown): Promise<object> {
  if (!engine) {
    const at = '/pocketkv/index.js', kernels = '/pocketkv/wasm/index.js'
    const { load, methods } = await import(at) as Library, { wasm } = await import(kernels) as Library
    engine = ours({ load, methods, wasm }, async url => (await fetch(url)).blob())
  }
  switch (call) {
    case 'open': return engine.open(given as Setup)
    case 'run': return engine.run(given as Task)
    case 'close':
      await engine.close()
      return {}
    default: return call satisfies never
  }
}

here.onmessage = ({ data: { call, given } }) => {
  answer(call, given).then(result => here.postMessage({ result }), (error: unknown) => here.postMessage({ error: String(error) }))
}
