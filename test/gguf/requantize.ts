import { blockTypes, dequantize, openSource, readHeader, type BlockName } from '../../src/gguf/index.ts'
import { writeGguf, type Writable, type WritableTensor } from './write.ts'

/** The same file with its matrices in another type, as far as their rows are whole blocks of it. */
export async function requantize(bytes: Uint8Array<ArrayBuffer>, type: BlockName): Promise<Uint8Array<ArrayBuffer>> {
  const source = await openSource(bytes), header = await readHeader(source)
  const tensors: WritableTensor[] = []
  for (const [name, info] of header.tensors) {
    const raw = new Uint8Array(info.bytes), values = new Float32Array(info.shape.reduce((a, b) => a * b, 1))
    await source.read(info.offset, raw)
    dequantize(info.type as BlockName, raw, values)
    const matrix = info.shape.length === 2 && info.shape[1]! % blockTypes[type].values === 0
    tensors.push({ name, shape: info.shape, type: matrix ? type : info.type as BlockName, values })
  }
  return writeGguf({ metadata: Object.fromEntries(header.metadata) as Record<string, Writable>, tensors })
}
