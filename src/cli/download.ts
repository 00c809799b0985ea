import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { mkdir, open, readFile, rename, rm, stat, statfs, writeFile, type FileHandle } from 'node:fs/promises'
import { dirname } from 'node:path'
import { fault } from '../cache/fault.ts'
import { reason } from './files.ts'
import { askFrom, refusal, shown, type Answer, type Asking } from './remote.ts'

export interface Downloading extends Asking {
  readonly progress?: (done: number, total: number) => void
  /** Milliseconds without a byte after which a connection counts as broken. */
  readonly stallMs?: number
  /** Milliseconds before a first repetition, doubled for the next. */
  readonly pauseMs?: number
}

/** What lies beside a file: where it came from. */
export interface Origin { readonly url: string; readonly size: number; readonly tag: string | null; readonly sha256: string | null; readonly when?: string }

/** Times in a row that may bring no new byte. */
const attemptsMax = 5
const stallDefault = 30_000, pauseDefault = 500
/** Longest that a server's own wish to be left alone is heeded. */
const waitMax = 60_000

const partial = (path: string): string => `${path}.part`
export const originPath = (path: string): string => `${path}.json`

/** A failure after which asking again may help. */
const passing = (message: string, waitMs = 0): Error => Object.assign(new Error(message), { passing: true, waitMs })

export async function originOf(path: string): Promise<Origin | null> {
  try {
    return JSON.parse(await readFile(originPath(path), 'utf8')) as Origin
  } catch {
    return null
  }
}

const bytesOf = (path: string): Promise<number> => stat(path).then(found => found.size, () => 0)

/** A file at a URL as a file at `path`. What is there already of the same version is not asked for again; a checksum that the server names must be right. */
export async function download(url: URL, path: string, options: Downloading = {}): Promise<Origin> {
  await mkdir(dirname(path), { recursive: true })
    .catch((error: unknown) => { throw fault('usage', `${dirname(path)} must be a folder that can be made, got ${reason(error)}; POCKETKV_HOME names another place`) })
  const unlock = await lock(`${path}.lock`, url)
  try {
    for (let failed = 0, first = true; ; first = false) {
      const before = await bytesOf(partial(path))
      try {
        return await attempt(url, path, before, first, options)
      } catch (error) {
        options.signal?.throwIfAborted()
        const { waitMs } = error as { waitMs?: number }
        if (!(error as { passing?: boolean }).passing) throw error
        failed = await bytesOf(partial(path)) > before ? 1 : failed + 1
        if (failed > attemptsMax) throw fault('model', `${(error as Error).message}, ${failed} times; what came is kept, ask again to go on`)
        await pause(Math.max(waitMs ?? 0, (options.pauseMs ?? pauseDefault) * 2 ** (failed - 1)), options.signal)
      }
    }
  } finally {
    await unlock()
  }
}

/** Takes what is missing in one connection; throws what may pass where that breaks. */
async function attempt(url: URL, path: string, have: number, first: boolean, options: Downloading): Promise<Origin> {
  const connection = new AbortController(), stallMs = options.stallMs ?? stallDefault
  const cancel = (): void => connection.abort()
  options.signal?.addEventListener('abort', cancel)
  let timer = setTimeout(cancel, stallMs)
  const alive = (): void => {
    clearTimeout(timer)
    timer = setTimeout(cancel, stallMs)
  }
  const part = partial(path)
  try {
    const before = have ? await originOf(part) : null
    const answer = await askFrom(url, before ? have : 0, { ...options, signal: connection.signal }).catch((error: Error & { code?: string }) => {
      options.signal?.throwIfAborted()
      if (error.code === 'model') throw error
      throw passing(connection.signal.aborted ? `${shown(url)} must answer within ${stallMs / 1e3} s, got nothing` : `${shown(url)} must be reachable, got ${reason(error)}`)
    })
    alive()
    const origin = await accepted(url, answer, { part, have, before, stale: first })
    const from = answer.response.status === 416 ? origin.size : answer.first
    if (answer.response.status !== 416) {
      await room(dirname(path), origin.size - from)
      await writeFile(originPath(part), JSON.stringify(origin))
      await take(url, answer, part, from, origin.size, { ...options, alive, connection: connection.signal, stallMs })
    }
    await finish(url, path, origin, options)
    return origin
  } finally {
    clearTimeout(timer)
    options.signal?.removeEventListener('abort', cancel)
    connection.abort()
  }
}

/** What is there of a file. stale: from an earlier program, so that the file may be another one by now. */
interface Begun { readonly part: string; readonly have: number; readonly before: Origin | null; readonly stale: boolean }

/** The answer's file, or why it is none that goes on with what is there. */
async function accepted(url: URL, { response, first, size, tag, sha256 }: Answer, { part, have, before, stale }: Begun): Promise<Origin> {
  const { status } = response
  const refuse = async (error: Error): Promise<never> => {
    await response.body?.cancel().catch(() => {})
    throw error
  }
  const other = (message: string): Error => stale ? passing(message) : fault('model', message)
  if (status === 416 && before && before.size === have) return before
  if (status === 416) {
    await remove(part)
    return refuse(other(`${shown(url)} must go on from byte ${have}, got status 416`))
  }
  if (status === 429 || status >= 500) return refuse(passing(`${shown(url)} must answer with status 200 or 206, got ${status}`, Math.min(waitMax, 1e3 * Number(response.headers.get('retry-after') ?? 0) || 0)))
  if (status !== 200 && status !== 206) return refuse(refusal(url, status))
  const encoding = response.headers.get('content-encoding')
  if (encoding && encoding !== 'identity') return refuse(fault('model', `${shown(url)} must be sent as it is, got Content-Encoding ${encoding}`))
  if (size === null) return refuse(fault('model', `${shown(url)} must tell its length, got none`))
  if (before && status === 206 && (before.size !== size || before.tag !== tag)) {
    await remove(part)
    return refuse(other(`${shown(url)} must not change while it is downloaded, got another version of it`))
  }
  if (status === 206 && first !== have) return refuse(fault('model', `${shown(url)} must go on from byte ${have}, got byte ${first}`))
  return { url: url.href.replace(/[?#].*$/s, ''), size, tag, sha256 }
}

interface Taking extends Downloading { readonly alive: () => void; readonly connection: AbortSignal; readonly stallMs: number }

/** Writes what comes behind byte `from`, up to `size`. */
async function take(url: URL, { response }: Answer, part: string, from: number, size: number, { signal, progress, alive, connection, stallMs }: Taking): Promise<void> {
  const file = await open(part, from ? 'r+' : 'w')
  let done = from
  try {
    progress?.(done, size)
    try {
      for await (const bytes of pieces(response, connection)) {
        alive()
        if (done + bytes.length > size) throw fault('model', `${shown(url)} must send the ${size} bytes that it announced, got more`)
        await write(file, bytes, done)
        done += bytes.length
        progress?.(done, size)
      }
    } catch (error) {
      signal?.throwIfAborted()
      if (typeof (error as { code?: unknown }).code === 'string' && ['model', 'fit'].includes((error as { code: string }).code)) throw error
      throw passing(connection.aborted ? `${shown(url)} must send all of ${size} bytes, got ${done} and nothing for ${stallMs / 1e3} s` : `${shown(url)} must send all of ${size} bytes, got ${done} before the connection broke`)
    }
    if (done < size) throw passing(`${shown(url)} must send all of ${size} bytes, got ${done}`)
  } catch (error) {
    if ((error as { code?: string }).code === 'model') {
      await file.close()
      await remove(part)
    }
    throw error
  } finally {
    await file.close().catch(() => {})
  }
}

/** The bytes of an answer. Throws as soon as `connection` is aborted, whatever the platform's stream makes of that. */
async function* pieces({ body }: Response, connection: AbortSignal): AsyncGenerator<Uint8Array> {
  const reader = body?.getReader()
  if (!reader) return
  let stop = (): void => {}
  const aborted = new Promise<never>((_, failed) => { stop = () => failed(connection.reason) })
  aborted.catch(() => {})
  connection.addEventListener('abort', stop)
  try {
    for (;;) {
      connection.throwIfAborted()
      const { done, value } = await Promise.race([reader.read(), aborted])
      if (done) return
      yield value
    }
  } finally {
    connection.removeEventListener('abort', stop)
    reader.cancel().catch(() => {})
  }
}

async function write(file: FileHandle, bytes: Uint8Array, position: number): Promise<void> {
  try {
    await file.write(bytes, 0, bytes.length, position)
  } catch (error) {
    throw fault('fit', `the disk must take ${bytes.length} bytes more, got ${reason(error)}`)
  }
}

/** Checks what came and gives it its name. */
async function finish(url: URL, path: string, origin: Origin, { signal }: Downloading): Promise<void> {
  const part = partial(path), have = await bytesOf(part)
  if (have !== origin.size) {
    await remove(part)
    throw fault('model', `${shown(url)} must have ${origin.size} bytes, got ${have}`)
  }
  const sum = await checksum(part, signal)
  if (origin.sha256 !== null && sum !== origin.sha256) {
    await remove(part)
    throw fault('model', `${shown(url)} must have the sha256 ${origin.sha256}, got ${sum}`)
  }
  await rename(part, path)
  await writeFile(originPath(path), JSON.stringify({ ...origin, sha256: sum, when: new Date().toISOString() }))
  await rm(originPath(part), { force: true })
}

async function checksum(path: string, signal: AbortSignal | undefined): Promise<string> {
  const hash = createHash('sha256')
  for await (const piece of createReadStream(path, { highWaterMark: 2 ** 20, ...signal ? { signal } : {} })) hash.update(piece as Buffer)
  return hash.digest('hex')
}

/** A file and what lies beside it. */
export async function remove(path: string): Promise<void> {
  await Promise.all([path, originPath(path)].map(name => rm(name, { force: true })))
}

async function room(folder: string, bytes: number): Promise<void> {
  const { bavail, bsize } = await statfs(folder)
  if (bavail * bsize < bytes) throw fault('fit', `${folder} must have ${bytes} bytes free, got ${bavail * bsize}; POCKETKV_HOME names another place`)
}

/** One download of a file at a time; a lock of a program that is gone holds nobody up. */
async function lock(path: string, url: URL): Promise<() => Promise<void>> {
  for (let again = 0; ; again++) {
    try {
      await writeFile(path, String(process.pid), { flag: 'wx' })
      return () => rm(path, { force: true })
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw fault('usage', `${path} must be a file that can be written, got ${reason(error)}; POCKETKV_HOME names another place`)
      const owner = Number(await readFile(path, 'utf8').catch(() => ''))
      if (again || running(owner)) throw fault('usage', `${shown(url)} must be downloaded by one program at a time, got another one (process ${owner})`)
      await rm(path, { force: true })
    }
  }
}

function running(id: number): boolean {
  try {
    return id > 0 && process.kill(id, 0)
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}

const pause = (ms: number, signal: AbortSignal | undefined): Promise<void> => new Promise((done, failed) => {
  const stop = (): void => {
    clearTimeout(timer)
    failed(signal!.reason)
  }
  const timer = setTimeout(() => {
    signal?.removeEventListener('abort', stop)
    done()
  }, ms)
  signal?.addEventListener('abort', stop, { once: true })
})
