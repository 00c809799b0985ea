import type { Cursor } from './cursor.ts'
import { GgufError } from './error.ts'
import { arrayMax, arraysMax, nestingMax, stringBytesMax } from './limits.ts'

/** An array of numbers keeps the type the file gave it. */
export type NumberArray = Uint8Array | Int8Array | Uint16Array | Int16Array | Uint32Array | Int32Array
  | Float32Array | Float64Array | BigUint64Array | BigInt64Array

/** 64-bit integers are numbers where a number holds them exactly, else bigints; in arrays always bigints. */
export type MetadataValue = number | bigint | boolean | string | boolean[] | string[] | NumberArray | MetadataValue[]

/** Numbers of a fixed width: how one is taken, and what holds many. */
interface Numeric { readonly bytes: number; readonly one: (cursor: Cursor) => number | bigint; readonly many: new (buffer: ArrayBuffer) => NumberArray }

/** The format's value types by their number; 7 is bool, 8 string, 9 array. */
const numeric: Readonly<Record<number, Numeric>> = {
  0: { bytes: 1, one: c => c.u8(), many: Uint8Array },
  1: { bytes: 1, one: c => c.u8() << 24 >> 24, many: Int8Array },
  2: { bytes: 2, one: c => c.u16(), many: Uint16Array },
  3: { bytes: 2, one: c => c.u16() << 16 >> 16, many: Int16Array },
  4: { bytes: 4, one: c => c.u32(), many: Uint32Array },
  5: { bytes: 4, one: c => c.u32() | 0, many: Int32Array },
  6: { bytes: 4, one: c => c.f32(), many: Float32Array },
  10: { bytes: 8, one: c => exact(c.u64()), many: BigUint64Array },
  11: { bytes: 8, one: c => exact(BigInt.asIntN(64, c.u64())), many: BigInt64Array },
  12: { bytes: 8, one: c => c.f64(), many: Float64Array },
}
const bool = 7, string = 8, array = 9

const exact = (n: bigint): number | bigint => Number.isSafeInteger(Number(n)) ? Number(n) : n

/** A length of 64 bits, refused beyond `max`. */
export async function readCount(cursor: Cursor, what: string, max: number): Promise<number> {
  await cursor.need(8, what)
  const n = cursor.u64()
  if (n > BigInt(max)) throw new GgufError(`${cursor.name}: ${what} must be at most ${max}, got ${n}`)
  return Number(n)
}

export async function readText(cursor: Cursor, what: string, max = stringBytesMax): Promise<string> {
  const bytes = await readCount(cursor, `bytes of ${what}`, max)
  await cursor.need(bytes, what)
  return cursor.text(bytes)
}

/** A value of metadata with the number of its type before it. */
export async function readValue(cursor: Cursor, key: string): Promise<MetadataValue> {
  await cursor.need(4, key)
  const type = cursor.u32()
  if (type === array) return readArray(cursor, key, 1)
  if (type === string) return readText(cursor, key)
  const number = known(cursor, key, type)
  await cursor.need(number?.bytes ?? 1, key)
  return number ? number.one(cursor) : readBool(cursor, key)
}

async function readArray(cursor: Cursor, key: string, depth: number): Promise<MetadataValue> {
  if (depth > nestingMax) throw new GgufError(`${cursor.name}: ${key} must nest at most ${nestingMax} arrays, got more`)
  if (++cursor.arrays > arraysMax) throw new GgufError(`${cursor.name} must have at most ${arraysMax} arrays of metadata, got more`)
  await cursor.need(4, key)
  const type = cursor.u32()
  const length = await readCount(cursor, `elements of ${key}`, arrayMax)
  if (type === array) {
    const values: MetadataValue[] = []
    for (let i = 0; i < length; i++) values.push(await readArray(cursor, key, depth + 1))
    return values
  }
  if (type === string) return readTexts(cursor, key, length)
  const number = known(cursor, key, type)
  const bytes = length * (number?.bytes ?? 1)
  await cursor.need(bytes, key)
  return number ? new number.many(cursor.copy(bytes)) : Array.from({ length }, () => readBool(cursor, key))
}

/** A vocabulary: waits only where the window ends, not at each of its strings. */
async function readTexts(cursor: Cursor, key: string, length: number): Promise<string[]> {
  const values: string[] = []
  for (let i = 0; i < length; i++) {
    const waiting = cursor.need(8, key)
    if (waiting) await waiting
    const bytes = cursor.u64()
    if (bytes > BigInt(stringBytesMax)) throw new GgufError(`${cursor.name}: bytes of ${key} must be at most ${stringBytesMax}, got ${bytes}`)
    const reading = cursor.need(Number(bytes), key)
    if (reading) await reading
    values.push(cursor.text(Number(bytes)))
  }
  return values
}

/** Null is bool. */
function known(cursor: Cursor, key: string, type: number): Numeric | null {
  const number = numeric[type]
  if (!number && type !== bool) throw new GgufError(`${cursor.name}: ${key} must have a type from 0 to 12, got ${type}`)
  return number ?? null
}

function readBool(cursor: Cursor, key: string): boolean {
  const byte = cursor.u8()
  if (byte > 1) throw new GgufError(`${cursor.name}: ${key} must be 0 or 1 as a bool, got ${byte}`)
  return byte === 1
}
