import { GgufError } from './error.ts'
import { openSource, type Source } from './file.ts'
import { readHeader, type Header, type TensorInfo } from './header.ts'
import { checkRange, type ByteSource } from './source.ts'

/** Parts of one model: the largest published ones have about 200. */
const partsMax = 9999

/** `…-00002-of-00003.gguf`, with what stands before and after the numbers. */
const numbered = /^(.*)-(\d{5})-of-(\d{5})(\.gguf(?:[?#].*)?)$/is

/** Names of all parts of a split file, the first one first; the name alone where it is a whole file's. */
export function partNames(name: string): string[] {
  const [, before, , of, after] = numbered.exec(name) ?? []
  const parts = Number(of)
  if (of === undefined || parts < 1 || parts > partsMax) return [name]
  return Array.from({ length: parts }, (_, i) => `${before}-${String(i + 1).padStart(5, '0')}-of-${of}${after}`)
}

/** A file and its header; a split one as if it were one file. */
export interface Opened { readonly file: ByteSource; readonly header: Header }

/** Opens a model with all its parts: a path or URL of any of them, or all of them in order. */
export async function openModel(source: Source | readonly Source[], signal?: AbortSignal, headers?: HeadersInit): Promise<Opened> {
  const sources: readonly Source[] = Array.isArray(source) ? source
    : typeof source === 'string' || source instanceof URL ? partNames(String(source)) : [source as Source]
  if (!sources.length) throw new GgufError('a model must have at least one file, got none')
  const files: ByteSource[] = []
  try {
    const opened: Opened[] = []
    for (const one of sources) {
      const file = await openSource(one, signal, headers)
      files.push(file)
      opened.push({ file, header: await readHeader(file, signal) })
    }
    checkParts(opened)
    return opened.length === 1 ? opened[0]! : joined(opened)
  } catch (error) {
    await Promise.all(files.map(file => file.close()))
    throw error
  }
}

/** Each file says which part it is, counted from 0, and of how many. */
function checkParts(opened: readonly Opened[]): void {
  for (const [i, { file, header: { metadata } }] of opened.entries()) {
    const parts = Number(metadata.get('split.count') ?? 1), part = Number(metadata.get('split.no') ?? 0)
    if (parts > 1 && opened.length === 1) throw new GgufError(`${file.name} must be named …-00001-of-${String(parts).padStart(5, '0')}.gguf to be found with its other parts, as it is part ${part + 1} of ${parts}`)
    if (opened.length > 1 && (parts !== opened.length || part !== i)) throw new GgufError(`${file.name} must be part ${i + 1} of ${opened.length}, got part ${part + 1} of ${parts}`)
  }
}

/** One after the other, each with its own header: tensors' offsets count from the beginning of the first. */
function joined(opened: readonly Opened[]): Opened {
  const { file: first, header } = opened[0]!
  const starts: number[] = []
  let size = 0
  const tensors = new Map<string, TensorInfo>()
  for (const { file, header: part } of opened) {
    starts.push(size)
    for (const [name, tensor] of part.tensors) {
      if (tensors.has(name)) throw new GgufError(`${file.name}: tensor ${name} must be in one part, got it twice`)
      tensors.set(name, { ...tensor, offset: tensor.offset + size })
    }
    size += file.size
  }
  const wanted = header.metadata.get('split.tensors.count')
  if (wanted !== undefined && Number(wanted) !== tensors.size) throw new GgufError(`${first.name} and its parts must have ${String(wanted)} tensors, got ${tensors.size}`)
  const file: ByteSource = {
    name: first.name, size,
    async read(offset, into, signal) {
      checkRange(first.name, size, offset, into.length)
      const at = starts.findLastIndex(start => start <= offset)
      await opened[at]!.file.read(offset - starts[at]!, into, signal)
    },
    async close() { await Promise.all(opened.map(part => part.file.close())) },
  }
  return { file, header: { ...header, tensors } }
}
