import { storedType, type TypeName } from './blocks.ts'
import { cursorOf, type Cursor } from './cursor.ts'
import { GgufError } from './error.ts'
import { alignmentMax, axesMax, keyBytesMax, metadataMax, nameBytesMax, tensorsMax } from './limits.ts'
import type { ByteSource } from './source.ts'
import { readCount, readText, readValue, type MetadataValue } from './values.ts'

// A file, little endian:
//
//   | 'GGUF' | version u32 | tensors u64 | keys u64 |
//   | key: string | type u32 | value |                                     × keys
//   | name: string | axes u32 | axes × u64, fastest first | type u32 | offset u64 |   × tensors
//   | zeros to the alignment | tensor data, each at its offset from here |
//
//   string: | bytes u64 | UTF-8 |      array: | type u32 | length u64 | values |

export interface TensorInfo {
  name: string
  type: TypeName
  /** slowest axis first: a weight matrix is [rows, columns], a row lies in one piece */
  shape: number[]
  /** bytes from the start of the file */
  offset: number
  bytes: number
}

export interface Header {
  version: number
  metadata: Map<string, MetadataValue>
  /** in the order of the file's table */
  tensors: Map<string, TensorInfo>
  /** bytes */
  alignment: number
  /** bytes before the tensor data */
  bytes: number
}

/** Where a file does not say otherwise. */
const alignmentDefault = 32

/** Reads metadata and tensor table, and nothing of the tensors beyond the last read's surplus. */
export async function readHeader(source: ByteSource, signal?: AbortSignal): Promise<Header> {
  const cursor = cursorOf(source, signal)
  const version = await readVersion(cursor)
  const tensorCount = await readCount(cursor, 'the number of tensors', tensorsMax)
  const keyCount = await readCount(cursor, 'the number of keys', metadataMax)
  const metadata = new Map<string, MetadataValue>()
  for (let i = 0; i < keyCount; i++) {
    const key = await readText(cursor, `key ${i + 1} of ${keyCount}`, keyBytesMax)
    if (metadata.has(key)) throw new GgufError(`${source.name}: key ${key} must be there once, got it twice`)
    metadata.set(key, await readValue(cursor, key))
  }
  const alignment = alignmentOf(source.name, metadata.get('general.alignment') ?? alignmentDefault)
  const tensors = new Map<string, TensorInfo>()
  for (let i = 0; i < tensorCount; i++) {
    const tensor = await readTensor(cursor, `tensor ${i + 1} of ${tensorCount}`, alignment)
    if (tensors.has(tensor.name)) throw new GgufError(`${source.name}: tensor ${tensor.name} must be there once, got it twice`)
    tensors.set(tensor.name, tensor)
  }
  const bytes = Math.ceil(cursor.position / alignment) * alignment
  place(source, tensors, bytes)
  return { version, metadata, tensors, alignment, bytes }
}

async function readVersion(cursor: Cursor): Promise<number> {
  const magic = Math.min(4, cursor.left)
  await cursor.need(magic, 'the magic')
  const start = cursor.text(magic)
  if (start !== 'GGUF') throw new GgufError(`${cursor.name} must be a GGUF file and begin with "GGUF", got ${JSON.stringify(start)}`)
  await cursor.need(4, 'the version')
  const version = cursor.u32()
  if (version !== 0 && (version & 0xffff) === 0)
    throw new GgufError(`${cursor.name} must be little endian, got a big-endian file`)
  if (version !== 2 && version !== 3) throw new GgufError(`${cursor.name} must be GGUF version 2 or 3, got ${version}`)
  return version
}

function alignmentOf(name: string, value: MetadataValue): number {
  const powerOfTwo = typeof value === 'number' && Number.isInteger(value) && value >= 1 && value <= alignmentMax && (value & value - 1) === 0
  if (!powerOfTwo) throw new GgufError(`${name}: general.alignment must be a power of two up to ${alignmentMax}, got ${show(value)}`)
  return value
}

/** One entry of the table; its offset still counts from the tensor data. */
async function readTensor(cursor: Cursor, what: string, alignment: number): Promise<TensorInfo> {
  const name = await readText(cursor, `the name of ${what}`, nameBytesMax)
  await cursor.need(4, `tensor ${name}`)
  const axes = cursor.u32()
  if (axes < 1 || axes > axesMax) throw new GgufError(`${cursor.name}: tensor ${name} must have 1 to ${axesMax} axes, got ${axes}`)
  await cursor.need(8 * axes + 12, `tensor ${name}`)
  const sizes = Array.from({ length: axes }, () => cursor.u64())
  const type = storedType(cursor.u32(), name)
  const offset = cursor.u64()
  const values = sizes.reduce((product, size) => product * size, 1n)
  if (values < 1n || values > BigInt(Number.MAX_SAFE_INTEGER))
    throw new GgufError(`${cursor.name}: tensor ${name} must have 1 to ${Number.MAX_SAFE_INTEGER} values, got ${values}`)
  if (sizes[0]! % BigInt(type.values))
    throw new GgufError(`${cursor.name}: rows of ${name} must be a multiple of ${type.values} values as ${type.name}, got ${sizes[0]}`)
  const bytes = values / BigInt(type.values) * BigInt(type.bytes)
  if (offset + bytes > BigInt(Number.MAX_SAFE_INTEGER))
    throw new GgufError(`${cursor.name}: tensor ${name} must end within ${Number.MAX_SAFE_INTEGER} bytes, got ${offset + bytes}`)
  if (offset % BigInt(alignment)) throw new GgufError(`${cursor.name}: the offset of ${name} must be a multiple of ${alignment}, got ${offset}`)
  return { name, type: type.name, shape: sizes.map(Number).reverse(), offset: Number(offset), bytes: Number(bytes) }
}

/** Makes offsets absolute. Tensors lie within the file and apart, so all of them together are no larger than it. */
function place(source: ByteSource, tensors: Map<string, TensorInfo>, start: number): void {
  for (const tensor of tensors.values()) {
    tensor.offset += start
    const end = tensor.offset + tensor.bytes
    if (end > source.size) throw new GgufError(`${source.name} is truncated: tensor ${tensor.name} must end at byte ${end}, the file has ${source.size}`)
  }
  let before: TensorInfo | undefined
  for (const tensor of [...tensors.values()].sort((a, b) => a.offset - b.offset)) {
    if (before && before.offset + before.bytes > tensor.offset)
      throw new GgufError(`${source.name}: tensor ${tensor.name} must begin at byte ${before.offset + before.bytes} or later, after ${before.name}, got ${tensor.offset}`)
    before = tensor
  }
}

/** A value as an error shows it: kinds of long ones, not their contents. */
export function show(value: MetadataValue | undefined): string {
  if (value === undefined) return 'nothing'
  if (typeof value === 'string') return value.length <= 40 ? JSON.stringify(value) : `a text of ${value.length} characters`
  if (typeof value === 'object') return `an array of ${value.length}`
  return String(value)
}
