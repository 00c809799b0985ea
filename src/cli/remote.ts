import { fault } from '../cache/fault.ts'
import { reason } from './files.ts'

/** How a server is asked. */
export interface Asking {
  readonly headers?: Readonly<Record<string, string>>
  readonly signal?: AbortSignal | undefined
}

/** What a server says of a file before its bytes come. */
export interface Answer {
  readonly response: Response
  /** The first byte that comes; 0 where the server sends all of it. */
  readonly first: number
  /** Bytes of the whole file; null where the server does not say. */
  readonly size: number | null
  /** The same for the same content. */
  readonly tag: string | null
  /** Of the content, where a tag is one: the hub's are. */
  readonly sha256: string | null
}

const redirectsMax = 10

/** 64 hexadecimal digits between quotes. */
const sha256Of = (tag: string | null): string | null => /^(?:W\/)?"?([0-9a-f]{64})"?$/i.exec(tag ?? '')?.[1]?.toLowerCase() ?? null
const number = (text: string | null): number | null => text !== null && /^\d+$/.test(text) ? Number(text) : null

/** Name of a file in messages: without the query, which may hold a signature. */
export const shown = (url: URL): string => url.origin + url.pathname

/**
 * Asks for a file from byte `first` on. Redirects are followed by hand: the hub tells size and checksum of a file only on the way to it, and
 * what proves who asks goes to the first server alone. Any status is an answer; throws where nobody answers.
 */
export async function askFrom(url: URL, first: number, { headers = {}, signal }: Asking): Promise<Answer> {
  let at = url, size: number | null = null, tag: string | null = null
  for (let i = 0; i <= redirectsMax; i++) {
    const own = at.origin === url.origin ? headers : {}
    const response = await fetch(at, { redirect: 'manual', headers: { ...own, 'Accept-Encoding': 'identity', ...first ? { Range: `bytes=${first}-` } : {} }, signal: signal ?? null })
    size ??= number(response.headers.get('x-linked-size'))
    tag ??= response.headers.get('x-linked-etag')
    const next = response.headers.get('location')
    if (response.status < 300 || response.status > 399 || next === null) {
      const range = /^bytes (\d+)-\d+\/(\d+|\*)$/.exec(response.headers.get('content-range') ?? '')
      const told = response.status === 206 ? number(range?.[2] ?? null) : number(response.headers.get('content-length'))
      if (size !== null && told !== null && told !== size && response.ok) {
        await response.body?.cancel()
        throw fault('model', `${shown(url)} must have the ${size} bytes that it was announced with, got ${told}`)
      }
      return { response, first: response.status === 206 ? Number(range?.[1] ?? first) : 0, size: size ?? told, tag: tag ?? response.headers.get('etag'), sha256: sha256Of(tag) ?? sha256Of(response.headers.get('etag')) }
    }
    await response.body?.cancel()
    if (!URL.canParse(next, at)) throw fault('model', `${shown(url)} must lead to a URL, got ${next}`)
    at = new URL(next, at)
    if (at.protocol !== 'http:' && at.protocol !== 'https:') throw fault('model', `${shown(url)} must lead to http or https, got ${at.protocol}`)
  }
  throw fault('model', `${shown(url)} must lead to a file in at most ${redirectsMax} redirects, got more`)
}

/** Why a server gives no file, and what may help. */
export function refusal(url: URL, status: number): Error {
  const help = status === 401 || status === 403 ? process.env['HF_TOKEN'] ? '; the token of HF_TOKEN has no access to it' : '; HF_TOKEN may hold a token for files that ask who you are'
    : status === 404 ? '; is the name right?' : ''
  return fault('model', `${shown(url)} must answer with status 200 or 206, got ${status}${help}`)
}

/** A JSON document. */
export async function askJson(url: URL, asking: Asking): Promise<unknown> {
  let response: Response
  try {
    response = await fetch(url, { headers: { ...asking.headers }, signal: asking.signal ?? null })
  } catch (error) {
    asking.signal?.throwIfAborted()
    throw fault('model', `${shown(url)} must be reachable, got ${reason(error)}`)
  }
  if (!response.ok) throw refusal(url, response.status)
  try {
    return await response.json()
  } catch (error) {
    asking.signal?.throwIfAborted()
    throw fault('model', `${shown(url)} must answer in JSON, got ${reason(error)}`)
  }
}
