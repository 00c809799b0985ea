import { GgufError } from './error.ts'
import { firstReadBytes, headerBytesMax, readBytesMax } from './limits.ts'
import type { ByteSource } from './source.ts'

/** Reads a header front to back through a window of the file that slides and grows. */
export interface Cursor {
  readonly name: string
  /** bytes from the start of the file to the next one */
  readonly position: number
  /** bytes from the next one to the end of the file */
  readonly left: number
  /** Arrays met so far. */
  arrays: number
  /** Makes the next n bytes readable. `what` names them where the file ends before. */
  need(n: number, what: string): Promise<void> | undefined
  /** The reads below take bytes that `need` made readable. */
  u8(): number
  u16(): number
  u32(): number
  u64(): bigint
  f32(): number
  f64(): number
  /** n bytes as text; what is no UTF-8 becomes U+FFFD. */
  text(n: number): string
  /** A copy of n bytes. */
  copy(n: number): ArrayBuffer
}

export function cursorOf(source: ByteSource, signal?: AbortSignal): Cursor {
  // ignoreBOM keeps a leading U+FEFF, which some vocabularies have as a token
  const decoder = new TextDecoder('utf-8', { ignoreBOM: true })
  let window = new Uint8Array(0), view = new DataView(window.buffer)
  let base = 0 // byte of the file at window[0]
  let at = 0 // next byte in the window
  let step = firstReadBytes

  async function more(n: number): Promise<void> {
    const kept = window.subarray(at)
    const bytes = Math.min(Math.max(n, kept.length + step), source.size - base - at)
    const grown = new Uint8Array(bytes)
    grown.set(kept)
    await source.read(base + at + kept.length, grown.subarray(kept.length), signal)
    base += at
    at = 0
    window = grown
    view = new DataView(grown.buffer)
    step = Math.min(2 * step, readBytesMax)
  }

  function take(n: number): number {
    at += n
    return at - n
  }

  return {
    name: source.name,
    arrays: 0,
    get position() { return base + at },
    get left() { return source.size - base - at },
    need(n, what) {
      if (at + n <= window.length) return undefined
      const end = base + at + n
      if (end > source.size) throw new GgufError(`${source.name} is truncated: ${what} must end at byte ${end}, the file has ${source.size}`)
      if (end > headerBytesMax) throw new GgufError(`${source.name} must have a header of at most ${headerBytesMax} bytes, ${what} ends at byte ${end}`)
      return more(n)
    },
    u8: () => view.getUint8(take(1)),
    u16: () => view.getUint16(take(2), true),
    u32: () => view.getUint32(take(4), true),
    u64: () => view.getBigUint64(take(8), true),
    f32: () => view.getFloat32(take(4), true),
    f64: () => view.getFloat64(take(8), true),
    text: n => decoder.decode(window.subarray(take(n), at)),
    copy: n => window.buffer.slice(take(n), at),
  }
}
