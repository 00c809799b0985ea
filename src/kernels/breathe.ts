/** How long work may hold the event loop before it lets it turn: half of the promised 50 ms. */
const longest = 25
let last = -Infinity

const turn: () => Promise<void> = typeof setImmediate === 'function'
  ? () => new Promise(resolve => setImmediate(resolve))
  : () => new Promise(resolve => {
    const { port1, port2 } = new MessageChannel()
    port1.onmessage = () => {
      port1.close()
      resolve()
    }
    port2.postMessage(null)
  })

/** Lets the event loop turn if it has not for 25 ms; then throws the signal's reason if there is one. */
export async function breathe(signal?: AbortSignal): Promise<void> {
  const now = performance.now()
  if (now - last < longest) return
  await turn()
  last = performance.now()
  signal?.throwIfAborted()
}
