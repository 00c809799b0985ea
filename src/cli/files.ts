import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { usageError } from './options.ts'

/** The embedded model, beside the package's code. */
const embedded = new URL('../../models/tiny-retrieval.gguf', import.meta.url)

/** What `--model` names. */
export function modelSource(name = 'demo'): string | URL {
  if (name === 'demo') return fileURLToPath(embedded)
  if (name.startsWith('hf:')) throw usageError(`--model must be a path, a URL or demo in this version, got ${name}`)
  return /^https?:\/\//.test(name) ? new URL(name) : name
}

async function standardInput(): Promise<string> {
  const parts: Uint8Array[] = []
  for await (const part of process.stdin) parts.push(typeof part === 'string' ? new TextEncoder().encode(part) : part)
  return Buffer.concat(parts).toString('utf8')
}

/** A text from a path, from `-` (standard input) or from a URL, as it stands. Throws with code `usage` where it cannot be read. */
export async function readText(name: string, signal: AbortSignal): Promise<string> {
  if (name === '-') return standardInput()
  try {
    if (!/^https?:\/\//.test(name)) return await readFile(name, { encoding: 'utf8', signal })
    const answer = await fetch(name, { signal })
    if (!answer.ok) throw new Error(`HTTP status ${answer.status}`)
    return await answer.text()
  } catch (error) {
    signal.throwIfAborted()
    const { code, message } = error as NodeJS.ErrnoException
    throw usageError(`${name} must be a text that can be read, got ${code === 'ENOENT' ? 'no such file' : code === 'EISDIR' ? 'a folder' : message}`)
  }
}

/** A JSON file that holds an array. */
export async function readArray(name: string, signal: AbortSignal): Promise<unknown[]> {
  const text = await readText(name, signal)
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (error) {
    throw usageError(`${name} must be JSON, got ${(error as Error).message}`)
  }
  if (!Array.isArray(value)) throw usageError(`${name} must be a JSON array, got ${value === null ? 'null' : typeof value}`)
  return value
}
