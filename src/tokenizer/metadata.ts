import { modelError } from './errors.ts'

/** GGUF metadata by key, as the file's reader hands it over. */
export type Metadata = ReadonlyMap<string, unknown>

/** `token_type` of GGUF, the ones that matter here. */
export const tokenTypes = { normal: 1, unknown: 2, control: 3, userDefined: 4, byte: 6 } as const

const got = (value: unknown): string =>
  value === undefined ? 'nothing' : Array.isArray(value) ? 'a list' : typeof value === 'object' ? 'an object' : String(value)

/** A string, or `missing` where the key is absent. */
export function text<T>(metadata: Metadata, key: string, missing: T): string | T {
  const value = metadata.get(key)
  if (value === undefined) return missing
  if (typeof value !== 'string') throw modelError(`${key} must be a string, got ${got(value)}`)
  return value
}

/** A boolean, or `missing` where the key is absent. */
export function flag(metadata: Metadata, key: string, missing: boolean): boolean {
  const value = metadata.get(key)
  if (value === undefined) return missing
  if (typeof value !== 'boolean') throw modelError(`${key} must be true or false, got ${got(value)}`)
  return value
}

/** A list of strings. */
export function texts(metadata: Metadata, key: string): readonly string[] {
  const value = metadata.get(key)
  if (!Array.isArray(value)) throw modelError(`${key} must be a list of strings, got ${got(value)}`)
  const odd = value.findIndex(entry => typeof entry !== 'string')
  if (odd >= 0) throw modelError(`${key}[${odd}] must be a string, got ${got(value[odd])}`)
  return value
}

/** The token types [tokens], or null where the file has none. */
export function types(metadata: Metadata, tokens: number): ArrayLike<number> | null {
  const key = 'tokenizer.ggml.token_type'
  const value = metadata.get(key)
  if (value === undefined) return null
  if (!Array.isArray(value) && !(ArrayBuffer.isView(value) && 'length' in value)) {
    throw modelError(`${key} must be a list of numbers, got ${got(value)}`)
  }
  const list = value as unknown as ArrayLike<number>
  if (list.length !== tokens) throw modelError(`${key} must have one entry a token, ${tokens}, got ${list.length}`)
  return list
}

/** The id under `tokenizer.ggml.<name>`, or null where the file has none. */
export function tokenId(metadata: Metadata, name: string, tokens: number): number | null {
  const key = `tokenizer.ggml.${name}`
  const value = metadata.get(key)
  if (value === undefined) return null
  const id = Number(value)
  if (!Number.isInteger(id) || id < 0 || id >= tokens) throw modelError(`${key} must be a token below ${tokens}, got ${got(value)}`)
  return id
}
