// Cuts a model into parts as llama.cpp's gguf-split does: metadata in the first, tensors one after the other.
import { blockTypes, openSource, readHeader, type MetadataValue } from '../../src/gguf/index.ts'
import { writeGguf, type Typed, type Writable, type WritableTensor } from './write.ts'

const writable = (value: MetadataValue): Writable => {
  if (value instanceof Float32Array || value instanceof Int32Array) return value
  if (typeof value === 'number' && !Number.isInteger(value)) return { type: 'f32', value }
  return value as Typed | string
}

export async function splitModel(whole: Uint8Array, count: number): Promise<Uint8Array<ArrayBuffer>[]> {
  const { tensors, metadata } = await readHeader(await openSource(whole))
  const all = [...tensors.values()].map(({ name, type, shape, offset, bytes }): WritableTensor => ({ name, shape, type: blockTypes[type as keyof typeof blockTypes].id, bytes: whole.slice(offset, offset + bytes) }))
  const each = Math.ceil(all.length / count)
  return Array.from({ length: count }, (_, part) => writeGguf({
    metadata: {
      ...part ? {} : Object.fromEntries([...metadata].map(([key, value]) => [key, writable(value)])),
      'split.no': { type: 'u16', value: part }, 'split.count': { type: 'u16', value: count }, 'split.tensors.count': { type: 'i32', value: all.length },
    },
    tensors: all.slice(part * each, (part + 1) * each),
  }))
}
