import { GgufError } from './error.ts'
import { checkRange, reason, type ByteSource } from './source.ts'

/** Times one thing is asked for before a broken connection is an error; a range goes on where it broke. */
const attemptsMax = 3
/** Milliseconds before the second attempt, doubled for the next: a dropped network needs a moment. */
const pauseMs = 200
/** Downloads of one file from a server without ranges: each read that goes backwards costs a whole one. */
const downloadsMax = 4

type Reader = ReadableStreamDefaultReader<Uint8Array>

/** What reads need to know about a URL: as it was when opened. */
interface Remote { url: string; name: string; size: number; tag: string | null; headers: HeadersInit }

type Place = Pick<Remote, 'url' | 'name' | 'headers'>

/** The connection, not the server's answer, failed. */
const broken = Symbol('broken')

/** A file behind a URL: by ranges, or in one pass where the server sends none. */
export async function openHttp(url: string, signal?: AbortSignal, headers: HeadersInit = {}): Promise<ByteSource> {
  const name = shortName(url)
  const response = await ask({ url, name, headers }, 0, 1, signal)
  if (response.status === 206) {
    const size = totalOf(response) ?? await sizeByHead({ url, name, headers }, signal)
    await response.body?.cancel()
    return rangedSource({ url, name, size, tag: strongTag(response), headers })
  }
  const size = lengthOf(response)
  if (size === null || !response.body) {
    await response.body?.cancel()
    throw new GgufError(`${name} must answer ranges or tell its length, got status 200 without Content-Length`)
  }
  return sequentialSource({ url, name, size, tag: strongTag(response), headers }, response.body.getReader())
}

function rangedSource(remote: Remote): ByteSource {
  const { name, size, tag } = remote
  let closed = false
  return {
    name, size,
    async read(offset, into, signal) {
      if (closed) throw new Error(`read: ${name} is closed`)
      checkRange(name, size, offset, into.length)
      let done = 0
      for (let attempt = 1; done < into.length; attempt++) {
        const from = offset + done, wanted = into.length - done
        const response = await ask(remote, from, wanted, signal)
        if (response.status !== 206) return refuse(response, `${name} must go on answering ranges, got status ${response.status}`)
        const range = contentRange(response)
        if (range && (range.first !== from || range.last !== from + wanted - 1))
          return refuse(response, `${name} must send bytes ${from}-${from + wanted - 1}, got ${range.first}-${range.last}`)
        if (range?.total && range.total !== size || tag !== null && strongTag(response) !== null && strongTag(response) !== tag)
          return refuse(response, `${name} must not change while it is read, got another version of it`)
        if (!response.body) throw new GgufError(`${name} must send ${wanted} bytes, got none`)
        const reader = response.body.getReader()
        const part = into.subarray(done)
        const { filled, end } = await fill(reader, part, signal)
        done += filled
        if (end === broken && attempt < attemptsMax) {
          await pause(attempt)
          continue
        }
        if (end === 'ended' || end === broken)
          throw new GgufError(`${name} must send ${wanted} bytes from ${from}, got ${filled}${end === broken ? ' before the connection broke' : ''}`)
        const surplus = end === 'more' || await next(reader, signal) instanceof Uint8Array
        await reader.cancel().catch(() => {})
        if (surplus) throw new GgufError(`${name} must send ${wanted} bytes from ${from}, got more`)
      }
    },
    async close() { closed = true },
  }
}

/** Reads forward in the one answer and skips what is not asked for; going backwards starts a new download. */
function sequentialSource(remote: Remote, first: Reader): ByteSource {
  const { name, size } = remote
  let reader: Reader | null = first, position = 0, downloads = 1, closed = false
  let rest = new Uint8Array(0) // came with the last piece and is not read yet
  let turn: Promise<unknown> = Promise.resolve() // one stream, so reads queue

  async function restart(signal?: AbortSignal): Promise<void> {
    if (downloads === downloadsMax)
      throw new GgufError(`${name} must answer ranges to be read out of order, and was downloaded ${downloadsMax} times already`)
    await reader?.cancel().catch(() => {})
    reader = null
    const response = await ask(remote, 0, size, signal)
    const length = totalOf(response) ?? lengthOf(response)
    if (length !== size || !response.body)
      return refuse(response, `${name} must have ${size} bytes as when it was opened, got ${length ?? 'no length'}`)
    reader = response.body.getReader()
    downloads++
    position = 0
    rest = new Uint8Array(0)
  }

  /** Takes n bytes off the stream, into `into` or into nothing. */
  async function take(n: number, into: Uint8Array | null, signal?: AbortSignal): Promise<void> {
    for (let done = 0; done < n;) {
      if (rest.length === 0) {
        const piece = await next(reader!, signal)
        if (!(piece instanceof Uint8Array))
          throw new GgufError(`${name} must send ${size} bytes, got ${position}${piece === broken ? ' before the connection broke' : ''}`)
        rest = piece as Uint8Array<ArrayBuffer>
      }
      const count = Math.min(rest.length, n - done)
      into?.set(rest.subarray(0, count), done)
      rest = rest.subarray(count)
      done += count
      position += count
    }
  }

  async function read(offset: number, into: Uint8Array, signal?: AbortSignal): Promise<void> {
    if (closed) throw new Error(`read: ${name} is closed`)
    checkRange(name, size, offset, into.length)
    signal?.throwIfAborted()
    if (!reader || offset < position) await restart(signal)
    try {
      await take(offset - position, null, signal)
      await take(into.length, into, signal)
    } catch (error) {
      reader = null // aborted or broken: the next read begins a new download
      throw error
    }
  }

  return {
    name, size,
    read(offset, into, signal) {
      const mine = turn.then(() => read(offset, into, signal))
      turn = mine.catch(() => {})
      return mine
    },
    async close() {
      closed = true
      await reader?.cancel().catch(() => {})
      reader = null
    },
  }
}

/** A GET of a range whose answer is 206 or 200. Unpacked answers only: ranges count the bytes of the file. */
async function ask({ url, name, headers: own }: Place, offset: number, bytes: number, signal?: AbortSignal): Promise<Response> {
  const headers = new Headers(own)
  headers.set('Range', `bytes=${offset}-${offset + bytes - 1}`)
  headers.set('Accept-Encoding', 'identity')
  const response = await connect(url, name, { headers, signal: signal ?? null })
  if (response.status !== 206 && response.status !== 200)
    return refuse(response, `${name} must answer with status 206 or 200, got ${response.status}`)
  const encoding = response.headers.get('content-encoding')
  if (encoding && encoding !== 'identity') return refuse(response, `${name} must be sent as it is, got Content-Encoding ${encoding}`)
  return response
}

async function connect(url: string, name: string, options: RequestInit): Promise<Response> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await fetch(url, options)
    } catch (cause) {
      options.signal?.throwIfAborted()
      if (attempt === attemptsMax) throw new GgufError(`${name} must be reachable, got ${reason(cause)}`, cause)
      await pause(attempt)
    }
  }
}

const pause = (attempt: number): Promise<void> => new Promise(done => { setTimeout(done, pauseMs * 2 ** (attempt - 1)) })

async function refuse(response: Response, message: string): Promise<never> {
  await response.body?.cancel().catch(() => {})
  throw new GgufError(message)
}

/** Fills `into` from a stream; says how much came, and whether that was all, there was more, the stream ended or it broke. */
async function fill(reader: Reader, into: Uint8Array, signal?: AbortSignal): Promise<{ filled: number; end: 'full' | 'more' | 'ended' | typeof broken }> {
  let filled = 0
  while (filled < into.length) {
    const piece = await next(reader, signal)
    if (!(piece instanceof Uint8Array)) return { filled, end: piece }
    const count = Math.min(piece.length, into.length - filled)
    into.set(count === piece.length ? piece : piece.subarray(0, count), filled)
    filled += count
    if (count < piece.length) return { filled, end: 'more' }
  }
  return { filled, end: 'full' }
}

/** The next bytes of a stream, 'ended', or `broken`; throws only when aborted. */
async function next(reader: Reader, signal?: AbortSignal): Promise<Uint8Array | 'ended' | typeof broken> {
  const cancel = (): void => { reader.cancel().catch(() => {}) }
  signal?.throwIfAborted()
  signal?.addEventListener('abort', cancel, { once: true })
  try {
    for (;;) {
      const { done, value } = await reader.read()
      signal?.throwIfAborted()
      if (done) return 'ended'
      if (value.length > 0) return value
    }
  } catch {
    signal?.throwIfAborted()
    return broken
  } finally {
    signal?.removeEventListener('abort', cancel)
  }
}

function contentRange(response: Response): { first: number; last: number; total: number | null } | null {
  const match = /^bytes (\d+)-(\d+)\/(\d+|\*)$/.exec(response.headers.get('content-range') ?? '')
  return match && { first: Number(match[1]), last: Number(match[2]), total: match[3] === '*' ? null : Number(match[3]) }
}

/** The file's bytes by Content-Range; null where it is absent or hidden from this page by CORS. */
const totalOf = (response: Response): number | null => contentRange(response)?.total ?? null

function lengthOf(response: Response): number | null {
  const text = response.headers.get('content-length')
  return text !== null && /^\d+$/.test(text) ? Number(text) : null
}

/** Content-Length stays readable where CORS hides Content-Range. */
async function sizeByHead({ url, name, headers: own }: Place, signal?: AbortSignal): Promise<number> {
  const headers = new Headers(own)
  headers.set('Accept-Encoding', 'identity')
  const response = await connect(url, name, { method: 'HEAD', headers, signal: signal ?? null })
  const size = response.ok ? lengthOf(response) : null
  if (size === null) throw new GgufError(`${name} must tell its length, got neither a Content-Range with a total nor a Content-Length`)
  return size
}

/** Weak tags may differ between equal files. */
function strongTag(response: Response): string | null {
  const tag = response.headers.get('etag')
  return tag?.startsWith('"') ? tag : null
}

/** Without the query, which may hold a signature. */
function shortName(url: string): string {
  const { origin, pathname } = new URL(url)
  return origin + pathname
}
