import { threadLines } from '../kernels/machine.ts'

/** What a helping thread is started with. */
interface Errand { readonly module: WebAssembly.Module; readonly memory: WebAssembly.Memory; readonly registers: number; readonly thread: number }

/** i32 words behind the registers that sleeping needs, as assembly/registers.ts draws them. */
const number = 17, asleep = 20, over = 21

/** A thread's whole program: it works in wasm, and sleeps where there is nothing to do, until it is sent home. `post` and `receive` are the platform's. */
const program = `receive(async ({ module, memory, registers, thread }) => {
  const { exports } = await WebAssembly.instantiate(module, { env: { memory } })
  const at = registers / 4, slept = (registers + ${threadLines} + 64 * thread) / 8 + 1
  post('ready')
  while (true) {
    const seen = exports.help(registers, thread), words = new Int32Array(memory.buffer)
    if (Atomics.load(words, at + ${over})) return
    const start = performance.now()
    Atomics.add(words, at + ${asleep}, 1)
    Atomics.wait(words, at + ${number}, seen)
    Atomics.sub(words, at + ${asleep}, 1)
    new Float64Array(memory.buffer)[slept] += performance.now() - start
  }
})`
const forNode = `const { parentPort } = require('node:worker_threads')
const post = message => parentPort.postMessage(message), receive = then => parentPort.once('message', then)
${program}`
const forWeb = `const post = message => postMessage(message), receive = then => { onmessage = event => then(event.data) }
${program}`

interface Thread { send(errand: Errand): void; readonly ready: Promise<void>; stop(): void }

/** Node's own threads: in Node, and in Deno and Bun, where a program ends with such threads waiting. */
const isNode = (): boolean => typeof process === 'object' && typeof process.versions?.node === 'string' && typeof (globalThis as { document?: unknown }).document === 'undefined'

/** Whether threads can share memory here. Pages and their workers must be isolated: elsewhere a shared memory can be made but not sent. */
const canShare = (): boolean => typeof SharedArrayBuffer === 'function'
  && (isNode() || typeof Worker === 'function' && (globalThis as { crossOriginIsolated?: boolean }).crossOriginIsolated === true)

let told = false

/** How many of the wanted threads there can be. A page's developer learns once, in the console, why it is one; the command line says it itself. */
export function threadsHere(wanted: number): number {
  if (wanted <= 1 || canShare()) return Math.max(1, wanted)
  if (!told && !isNode()) console.warn(`threads: one runs, since memory can be shared only where a page is cross-origin isolated (headers COOP and COEP), got ${wanted}`)
  told = true
  return 1
}

async function nodeThread(): Promise<Thread> {
  const { Worker } = await import('node:worker_threads')
  const worker = new Worker(forNode, { eval: true })
  // A thread that waits must not keep the program alive.
  worker.unref()
  return {
    ready: new Promise((done, failed) => {
      worker.once('message', () => done())
      worker.once('error', failed)
    }),
    send: errand => worker.postMessage(errand),
    stop: () => void worker.terminate(),
  }
}

function webThread(): Thread {
  const url = URL.createObjectURL(new Blob([forWeb], { type: 'text/javascript' }))
  const worker = new Worker(url, { type: 'module' })
  return {
    ready: new Promise<void>((done, failed) => {
      worker.onmessage = () => done()
      worker.onerror = event => failed(new Error(event.message))
    }).then(() => URL.revokeObjectURL(url)),
    send: errand => worker.postMessage(errand),
    stop: () => worker.terminate(),
  }
}

/** Starts threads 1 … `threads` − 1 over one memory; when it returns they wait for work. Gives back what stops them. */
export async function startThreads({ threads, ...errand }: Omit<Errand, 'thread'> & { readonly threads: number }): Promise<() => void> {
  const started = await Promise.all(Array.from({ length: threads - 1 }, () => isNode() ? nodeThread() : webThread()))
  const stop = (): void => started.forEach(thread => thread.stop())
  started.forEach((thread, i) => thread.send({ ...errand, thread: i + 1 }))
  try {
    await Promise.all(started.map(thread => thread.ready))
  } catch (error) {
    stop()
    throw error
  }
  return stop
}
