// A process with one engine in it: child.ts ours DIST | child.ts native ENTRY. Answers messages in order.
import { pathToFileURL } from 'node:url'
import type { Engine, Setup, Task } from './engine.ts'
import { native } from './native.ts'
import { ours, type Library } from './ours.ts'

const [kind, at] = process.argv.slice(2) as ['ours' | 'native', string]

async function library(): Promise<Library> {
  const { load, methods } = await import(pathToFileURL(`${at}/index.js`).href) as Library
  const { wasm } = await import(pathToFileURL(`${at}/wasm/index.js`).href) as Library
  return { load, methods, wasm }
}

const engine: Engine = kind === 'ours' ? ours(await library(), async path => path) : await native(at)

async function answer({ call, given }: { call: keyof Engine; given?: unknown }): Promise<object> {
  switch (call) {
    case 'open': return engine.open(given as Setup)
    case 'run': {
      const ran = await engine.run(given as Task)
      const rssBytesPeak = process.resourceUsage().maxRSS * 1024
      return { ...ran, rssBytesPeak, memoryBytesPeak: ran.memoryBytesPeak || rssBytesPeak }
    }
    case 'close':
      await engine.close()
      return {}
    default: return call satisfies never
  }
}

let turn: Promise<void> = Promise.resolve()
process.on('message', message => {
  turn = turn.then(() => answer(message as never)).then(result => process.send!({ result }), (error: unknown) => process.send!({ error: String(error) }))
    .then(() => { if ((message as { call: string }).call === 'close') process.disconnect?.() })
})
