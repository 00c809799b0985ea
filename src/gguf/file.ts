import { GgufError } from './error.ts'
import { openHttp } from './http.ts'
import { checkRange, reason, type ByteSource } from './source.ts'

/** Bytes asked of a file or Blob at once: an abort waits for one piece, and a Blob is copied one piece at a time. */
const pieceBytes = 2 ** 24

/** Two letters at least, so that the drive of a Windows path is no scheme. */
const scheme = /^([a-z][a-z0-9+.-]+):/i

/** What a file is opened from. */
export type Source = string | URL | Blob | ArrayBuffer | Uint8Array

/** Opens a path (Node, Deno, Bun), a URL (http, https, file, blob, data), a Blob or File, or bytes. headers: for a server that asks who it is. */
export async function openSource(source: Source, signal?: AbortSignal, headers?: HeadersInit): Promise<ByteSource> {
  signal?.throwIfAborted()
  if (source instanceof Uint8Array) return bytesSource(source)
  if (source instanceof ArrayBuffer) return bytesSource(new Uint8Array(source))
  if (source instanceof Blob) return blobSource(source)
  if (typeof source !== 'string' && !(source instanceof URL))
    throw new TypeError(`openSource: the source must be a path, URL, Blob or bytes, got ${source === null ? 'null' : typeof source}`)
  const text = String(source)
  switch (scheme.exec(text)?.[1]?.toLowerCase()) {
    case undefined: return pathSource(text, text)
    case 'file': return pathSource(new URL(text), decodeURIComponent(new URL(text).pathname))
    case 'http': case 'https': return openHttp(text, signal, headers)
    case 'blob': case 'data': return blobSource(await held(text))
    default: throw new GgufError(`${text} must be a path or a URL of http, https, file, blob or data`)
  }
}

/** What a blob: or data: URL holds: in this process already, so it needs no ranges. */
async function held(url: string): Promise<Blob> {
  try {
    return await (await fetch(url)).blob()
  } catch (cause) {
    throw new GgufError(`${url.slice(0, 40)} must hold data, got ${reason(cause)}`, cause)
  }
}

function bytesSource(data: Uint8Array): ByteSource {
  return {
    name: 'bytes', size: data.length,
    async read(offset, into, signal) {
      signal?.throwIfAborted()
      checkRange('bytes', data.length, offset, into.length)
      into.set(data.subarray(offset, offset + into.length))
    },
    async close() {},
  }
}

function blobSource(blob: Blob): ByteSource {
  const name = 'name' in blob && typeof blob.name === 'string' ? blob.name : 'blob'
  return {
    name, size: blob.size,
    async read(offset, into, signal) {
      checkRange(name, blob.size, offset, into.length)
      for (let done = 0; done < into.length;) {
        signal?.throwIfAborted()
        const wanted = Math.min(pieceBytes, into.length - done)
        const piece = await blob.slice(offset + done, offset + done + wanted).arrayBuffer()
          .catch((cause: unknown) => { throw new GgufError(`${name} must stay readable, got ${reason(cause)}`, cause) })
        if (piece.byteLength !== wanted) throw new GgufError(`${name} must give ${wanted} bytes at ${offset + done}, got ${piece.byteLength}`)
        into.set(new Uint8Array(piece), done)
        done += wanted
      }
    },
    async close() {},
  }
}

async function pathSource(path: string | URL, name: string): Promise<ByteSource> {
  const { open } = await fileSystem(name)
  const file = await open(path, 'r')
    .catch((cause: unknown) => { throw new GgufError(`${name} must be a readable file, got ${reason(cause)}`, cause) })
  const stat = await file.stat()
  if (!stat.isFile()) {
    await file.close()
    throw new GgufError(`${name} must be a file, got ${stat.isDirectory() ? 'a folder' : 'a device or pipe'}`)
  }
  let closed = false
  return {
    name, size: stat.size,
    async read(offset, into, signal) {
      if (closed) throw new Error(`read: ${name} is closed`)
      const bytes = into.length
      checkRange(name, stat.size, offset, bytes)
      for (let done = 0; done < bytes;) {
        signal?.throwIfAborted()
        const { bytesRead } = await file.read(into, done, Math.min(pieceBytes, bytes - done), offset + done)
          .catch((cause: unknown) => { throw new GgufError(`${name} must stay readable, got ${reason(cause)}`, cause) })
        if (into.length !== bytes) throw new RangeError(`read: the memory of ${bytes} bytes must not grow during a read, its view has ${into.length} now`)
        if (bytesRead === 0) throw new GgufError(`${name} must have ${stat.size} bytes as when it was opened, it ends at ${offset + done}`)
        done += bytesRead
      }
    },
    async close() {
      if (closed) return
      closed = true
      await file.close()
    },
  }
}

/** Imported when a path is opened, and within a try: so this module loads, and bundles, where there is no file system. */
async function fileSystem(name: string): Promise<typeof import('node:fs/promises')> {
  try {
    return await import(/* webpackIgnore: true */ /* @vite-ignore */ 'node:fs/promises')
  } catch (cause) {
    throw new GgufError(`${name} must be a URL, Blob or bytes where there is no file system, got a path`, cause)
  }
}
