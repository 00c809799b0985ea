import { GgufError } from './error.ts'
import { show, type Header } from './header.ts'
import type { MetadataValue, NumberArray } from './values.ts'

// Metadata by kind. `otherwise` is the answer where the key is absent; without it an absent key is refused.

type Metadata = Pick<Header, 'metadata'>

export const text = (header: Metadata, key: string, otherwise?: string): string =>
  get(header, key, 'a text', value => typeof value === 'string', otherwise)

/** Whole and exact in a number. */
export const integer = (header: Metadata, key: string, otherwise?: number): number =>
  get(header, key, 'a whole number', value => Number.isSafeInteger(value), otherwise)

/** Finite. */
export const float = (header: Metadata, key: string, otherwise?: number): number =>
  get(header, key, 'a finite number', value => Number.isFinite(value), otherwise)

export const flag = (header: Metadata, key: string, otherwise?: boolean): boolean =>
  get(header, key, 'true or false', value => typeof value === 'boolean', otherwise)

export const texts = (header: Metadata, key: string, otherwise?: string[]): string[] =>
  get(header, key, 'an array of texts', value => Array.isArray(value) && value.every(element => typeof element === 'string'), otherwise)

/** As the file holds them; 64-bit ones are bigints. */
export const numbers = (header: Metadata, key: string, otherwise?: NumberArray): NumberArray =>
  get(header, key, 'an array of numbers', value => ArrayBuffer.isView(value), otherwise)

function get<T extends MetadataValue>(header: Metadata, key: string, must: string, fits: (value: MetadataValue) => boolean, otherwise?: T): T {
  const value = header.metadata.get(key) ?? otherwise
  if (value === undefined || !fits(value)) throw new GgufError(`metadata ${key} must be ${must}, got ${show(value)}`)
  return value as T
}
