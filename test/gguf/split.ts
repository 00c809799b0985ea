// Writes a model again: with other metadata, or in parts as llama.cpp's gguf-split does, metadata in the first, tensors one after the other.
import { blockTypes, openSource, readHeader, type MetadataValue } from '../../src/gguf/index.ts'
import { writeGguf, type Typed, type Writable, type WritableTensor } from './write.ts'

const writable = (value: MetadataValue): Writable => {
  if (value instanceof Float32Array || value instanceof Int32Array) return value
  if (typeof value === 'number' && !Number.isInteger(value)) return { type: 'f32', value }
  return value as Typed | string
}

async function contents(whole: Uint8Array): Promise<{ metadata: [string, Writable][]; tensors: WritableTensor[] }> {
  const { tensors, metadata } = await readHeader(await openSource(whole))
  const copies = [...tensors.values()].map(({ name, type, shape, offset, bytes }): WritableTensor => ({ name, shape, type: blockTypes[type as keyof typeof blockTypes].id, bytes: whole.slice(offset, offset + bytes) }))
  return { metadata: [...metadata].map(([key, value]) => [key, writable(value)]), tensors: copies }
}

/** null takes a key away. */
export async function withMetadata(whole: Uint8Array, changes: Readonly<Record<string, Writable | null>>): Promise<Uint8Array<ArrayBuffer>> {
  const { metadata, tensors } = await contents(whole)
  const all = Object.entries({ ...Object.fromEntries(metadata), ...changes })
  return writeGguf({ metadata: Object.fromEntries(all.filter((entry): entry is [string, Writable] => entry[1] !== null)), tensors })
}

export async function splitModel(whole: Uint8Array, count: number): Promise<Uint8Array<ArrayBuffer>[]> {
  const { metadata, tensors: all } = await contents(whole)
  const each = Math.ceil(all.length / count)
  return Array.from({ length: count }, (_, part) => writeGguf({
    metadata: {
      ...part ? {} : Object.fromEntries(metadata),
      'split.no': { type: 'u16', value: part }, 'split.count': { type: 'u16', value: count }, 'split.tensors.count': { type: 'i32', value: all.length },
    },
    tensors: all.slice(part * each, (part + 1) * each),
  }))
}
