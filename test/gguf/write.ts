// Writes GGUF files for tests: metadata and tensors as given, quantised as the Python `gguf` package does.
import type { BlockName } from '../../src/gguf/index.ts'
import { blockTypes } from '../../src/gguf/index.ts'
import { quantize } from './quantize.ts'

export { quantize, toHalf } from './quantize.ts'
export { randomLlama, type LlamaShape } from './llama.ts'

export const valueTypes = { u8: 0, i8: 1, u16: 2, i16: 3, u32: 4, i32: 5, f32: 6, bool: 7, string: 8, array: 9, u64: 10, i64: 11, f64: 12 } as const
export type ValueType = keyof typeof valueTypes
type Scalar = number | bigint | boolean | string

/** A value whose type the value itself does not say. For arrays `of` is the type of the elements. */
export type Typed = { type: Exclude<ValueType, 'array'>; value: Scalar } | { type: 'array'; of: ValueType; value: readonly (Scalar | Typed)[] }

/** Bare values: texts, bools, whole numbers (u32, i32 below zero), others (f32), bigints (u64), arrays of texts, i32 and f32 arrays. */
export type Writable = Scalar | readonly string[] | Int32Array | Float32Array | Typed

/** `values` are quantised to `type`; `bytes` are written as they are, then `type` may be any number. Shape slowest first. */
export type WritableTensor = { name: string; shape: readonly number[] } &
  ({ type: BlockName; values: Float32Array } | { type: number; bytes: Uint8Array })

export interface Writing {
  version?: number
  /** written as general.alignment where given */
  alignment?: number
  metadata: Readonly<Record<string, Writable>>
  tensors: readonly WritableTensor[]
}

/** Bytes that grow. */
export interface Pen {
  readonly length: number
  number(type: Exclude<ValueType, 'bool' | 'string' | 'array'>, value: number | bigint): void
  text(value: string): void
  raw(bytes: Uint8Array): void
  pad(alignment: number): void
  done(): Uint8Array<ArrayBuffer>
}

export function pen(): Pen {
  let bytes = new Uint8Array(1024), length = 0
  /** Makes room for n bytes and returns where they begin. */
  function room(n: number): number {
    if (length + n > bytes.length) {
      const grown = new Uint8Array(2 * (length + n))
      grown.set(bytes)
      bytes = grown
    }
    length += n
    return length - n
  }
  const view = (): DataView => new DataView(bytes.buffer)
  const self: Pen = {
    get length() { return length },
    number(type, value) {
      const n = Number(value)
      switch (type) {
        case 'u8': case 'i8': { const at = room(1); return view().setUint8(at, n) }
        case 'u16': case 'i16': { const at = room(2); return view().setUint16(at, n, true) }
        case 'u32': case 'i32': { const at = room(4); return view().setUint32(at, n, true) }
        case 'f32': { const at = room(4); return view().setFloat32(at, n, true) }
        case 'f64': { const at = room(8); return view().setFloat64(at, n, true) }
        case 'u64': case 'i64': { const at = room(8); return view().setBigUint64(at, BigInt(value), true) }
      }
    },
    text(value) {
      const utf8 = new TextEncoder().encode(value)
      self.number('u64', utf8.length)
      self.raw(utf8)
    },
    raw(data) { const at = room(data.length); bytes.set(data, at) },
    pad(alignment) { room((alignment - length % alignment) % alignment) },
    done: () => bytes.slice(0, length),
  }
  return self
}

export function writeGguf({ version = 3, alignment, metadata, tensors }: Writing): Uint8Array<ArrayBuffer> {
  const out = pen()
  const entries = Object.entries(alignment === undefined ? metadata : { ...metadata, 'general.alignment': alignment })
  out.raw(new TextEncoder().encode('GGUF'))
  out.number('u32', version)
  out.number('u64', tensors.length)
  out.number('u64', entries.length)
  for (const [key, value] of entries) {
    out.text(key)
    writeValue(out, typed(value))
  }
  const align = alignment ?? 32
  const data = tensors.map(tensor => 'values' in tensor ? quantize(tensor.type, tensor.values, tensor.shape.at(-1)!) : tensor.bytes)
  let offset = 0
  for (const [i, tensor] of tensors.entries()) {
    out.text(tensor.name)
    out.number('u32', tensor.shape.length)
    for (const size of [...tensor.shape].reverse()) out.number('u64', size)
    out.number('u32', 'values' in tensor ? blockTypes[tensor.type].id : tensor.type)
    out.number('u64', offset)
    offset = Math.ceil((offset + data[i]!.length) / align) * align
  }
  for (const bytes of data) {
    out.pad(align)
    out.raw(bytes)
  }
  out.pad(align)
  return out.done()
}

function typed(value: Writable): Typed {
  switch (typeof value) {
    case 'string': return { type: 'string', value }
    case 'boolean': return { type: 'bool', value }
    case 'bigint': return { type: 'u64', value }
    case 'number': return { type: !Number.isInteger(value) ? 'f32' : value < 0 ? 'i32' : 'u32', value }
  }
  if (value instanceof Int32Array) return { type: 'array', of: 'i32', value: [...value] }
  if (value instanceof Float32Array) return { type: 'array', of: 'f32', value: [...value] }
  return 'type' in value ? value : { type: 'array', of: 'string', value }
}

function writeValue(out: Pen, value: Typed): void {
  out.number('u32', valueTypes[value.type])
  writeBody(out, value)
}

function writeBody(out: Pen, value: Typed): void {
  if (value.type === 'array') {
    out.number('u32', valueTypes[value.of])
    out.number('u64', value.value.length)
    for (const element of value.value)
      writeBody(out, typeof element === 'object' ? element : { type: value.of as Exclude<ValueType, 'array'>, value: element })
  } else if (value.type === 'string') out.text(String(value.value))
  else if (value.type === 'bool') out.number('u8', Number(value.value))
  else out.number(value.type, value.value as number | bigint)
}
