import type { ByteSource } from '../../src/gguf/index.ts'

/** A source that keeps count of its reads and their bytes. */
export function counting(source: ByteSource): ByteSource & { reads: number; bytes: number } {
  const self = {
    name: source.name, size: source.size, reads: 0, bytes: 0,
    read(offset: number, into: Uint8Array, signal?: AbortSignal) {
      self.reads++
      self.bytes += into.length
      return source.read(offset, into, signal)
    },
    close: () => source.close(),
  }
  return self
}
