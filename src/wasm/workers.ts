/** What a helping thread is started with. */
interface Errand { readonly module: WebAssembly.Module; readonly memory: WebAssembly.Memory; readonly registers: number; readonly thread: number }

/** A thread's whole program: it works in wasm, and sleeps where there is nothing to do, until it is sent home. `post` and `receive` are the platform's. */
const program = `receive(async ({ module, memory, registers, thread }) => {
  const { exports } = await WebAssembly.instantiate(module, { env: { memory } })
  const at = registers / 4, line = registers + 64 * (1 + thread)
  post('ready')
  while (true) {
    const seen = exports.help(registers, thread), words = new Int32Array(memory.buffer)
    if (Atomics.load(words, at + 14)) return
    const start = performance.now()
    Atomics.add(words, at + 13, 1)
    Atomics.wait(words, at + 9, seen)
    Atomics.sub(words, at + 13, 1)
    new Float64Array(memory.buffer)[line / 8 + 1] += performance.now() - start
  }
})`
const forNode = `const { parentPort } = require('node:worker_threads')
const post = message => parentPort.postMessage(message), receive = then => parentPort.once('message', then)
${program}`
const forWeb = `const post = message => postMessage(message), receive = then => { onmessage = event => then(event.data) }
${program}`

interface Thread { send(errand: Errand): void; readonly ready: Promise<void>; stop(): void }

/** Whether threads can share memory here. Pages must be isolated: elsewhere a shared memory can be made but not sent. */
export const canShare = (): boolean => typeof SharedArrayBuffer === 'function'
  && ((globalThis as { crossOriginIsolated?: boolean }).crossOriginIsolated !== false || isNode())

const isNode = (): boolean => typeof process === 'object' && typeof process.versions?.node === 'string' && typeof (globalThis as { Worker?: unknown }).Worker === 'undefined'

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
  // Bun and Deno, like Node, would wait for it.
  ;(worker as { unref?: () => void }).unref?.()
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
