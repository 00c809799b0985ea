import { fault } from '../cache/fault.ts'
import { isUtf8 } from 'node:buffer'
import { createReadStream } from 'node:fs'
import { addAbortSignal } from 'node:stream'
import { say } from './output.ts'
import { usageError, type Input } from './options.ts'

/** Longest text that is read: 256 MiB is some 60 million tokens, more than any context; a pipe may have no end. */
const textBytesMax = 2 ** 28

/** Whether nothing may be asked of a network. */
export const offline = (): boolean => !['', '0', 'false'].includes(process.env['POCKETKV_OFFLINE'] ?? '')

export const isUrl = (name: string): boolean => /^https?:\/\//.test(name)

export function urlOf(name: string): URL {
  if (!URL.canParse(name)) throw usageError(`a URL must be whole, got ${name}`)
  return new URL(name)
}

async function* remote(name: string, signal: AbortSignal): AsyncGenerator<Uint8Array> {
  if (offline()) throw new Error('POCKETKV_OFFLINE is set')
  const answer = await fetch(urlOf(name), { signal })
  if (!answer.ok) throw new Error(`HTTP status ${answer.status}`)
  if (answer.body) yield* answer.body as AsyncIterable<Uint8Array>
}

function pieces(name: string, signal: AbortSignal): AsyncIterable<Uint8Array> {
  if (name === '-') return addAbortSignal(signal, process.stdin)
  return isUrl(name) ? remote(name, signal) : createReadStream(name, { signal })
}

const reasons: Readonly<Record<string, string>> = { ENOENT: 'no such file', EISDIR: 'a folder', EACCES: 'no permission', ECONNREFUSED: 'no server there', ENOTFOUND: 'no such host' }

/** An error of the platform in few words. */
export function reason(error: unknown): string {
  const { code, message, cause } = error as NodeJS.ErrnoException & { cause?: NodeJS.ErrnoException }
  const known = code ?? cause?.code
  return known === undefined ? message : reasons[known] ?? known
}

/** A text from a path, from `-` (standard input) or from a URL, as it stands. Throws with code `usage` where it cannot be read. */
export async function readText(name: string, input: Input): Promise<string> {
  const parts: Uint8Array[] = []
  const shown = name === '-' ? 'standard input' : name
  let bytes = 0
  try {
    for await (const part of pieces(name, input.signal)) {
      bytes += part.length
      if (bytes > textBytesMax) throw fault('fit', `${shown} must have at most ${textBytesMax} bytes, got more than ${bytes}`)
      parts.push(part)
    }
  } catch (error) {
    input.signal.throwIfAborted()
    if ((error as { code?: string }).code === 'fit') throw error
    throw usageError(`${shown || 'a document'} must be a text that can be read, got ${reason(error)}`)
  }
  const all = Buffer.concat(parts)
  if (!input.on('quiet') && !isUtf8(all)) say(`${shown} is not all UTF-8: what is not reads as U+FFFD`)
  return all.toString('utf8')
}

/** A JSON file that holds an array. */
export async function readArray(name: string, input: Input): Promise<unknown[]> {
  const text = await readText(name, input)
  let value: unknown
  try {
    value = JSON.parse(text.replace(/^\ufeff/, ''))
  } catch (error) {
    throw usageError(`${name} must be JSON, got ${(error as Error).message}`)
  }
  if (!Array.isArray(value)) throw usageError(`${name} must be a JSON array, got ${value === null ? 'null' : typeof value}`)
  return value
}
