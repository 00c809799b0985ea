import { threadLines, type Sharing } from '../kernels/machine.ts'

/** The kernels' own way to wait: looks at an address, returns how often. */
type Look = (at: number, zero: number, most: number) => number

/** Looks timed at a go, and goes, of which the quickest counts: enough for the engine to make them fast, 20 ms in all. */
const timed = 20_000, goes = 1000

/** Milliseconds of a look at a word that nobody writes. */
function lookMs(look: Look, at: number): number {
  let least = Infinity
  for (let i = 0; i < goes; i++) {
    const start = performance.now()
    look(at, 1, timed)
    least = Math.min(least, performance.now() - start)
  }
  return least / timed
}

/** Gives what the threads' lines behind the registers say (assembly/threads.ts), whenever it is called. */
export function sharingOf(memory: WebAssembly.Memory, registers: number, threads: number, look: Look): () => Sharing {
  let each: number | undefined
  return () => {
    // The last word of thread 0's line is nobody's.
    const ms = each ??= lookMs(look, registers + threadLines + 60)
    const words = new DataView(memory.buffer, registers + threadLines, 64 * threads)
    const waited = Array.from({ length: threads }, (_, thread) => Number(words.getBigInt64(64 * thread, true)) * ms + words.getFloat64(64 * thread + 8, true))
    return { barriers: words.getInt32(16, true), waited }
  }
}
