// The same model in other tensor types, from a file's bytes.
import { blockTypes, dequantize, type BlockName, type Header } from '../../src/gguf/index.ts'
import { quantize } from './quantize.ts'

interface Retyping {
  /** The type of a tensor [rows, columns]; vectors keep theirs. */
  readonly typeOf: (name: string, columns: number) => BlockName
  /** Everything is written as F32, with the values that the types would hold. */
  readonly widened: boolean
}

/** Metadata stays byte for byte; types and offsets in the tensor table are replaced where they stand. */
export function retyped(file: Uint8Array, header: Header, { typeOf, widened }: Retyping): Uint8Array {
  const align = (n: number): number => Math.ceil(n / header.alignment) * header.alignment
  const plans = [...header.tensors.values()].map(tensor => {
    const from = tensor.type as BlockName, stored = tensor.shape.length === 1 ? from : typeOf(tensor.name, tensor.shape.at(-1)!)
    const type = blockTypes[widened ? 'F32' : stored], values = tensor.shape.reduce((a, b) => a * b)
    return { tensor, from, stored, type, values, bytes: values / type.values * type.bytes }
  })
  const out = new Uint8Array(plans.reduce((sum, { bytes }) => sum + align(bytes), header.bytes)), view = new DataView(out.buffer)
  out.set(file.subarray(0, header.bytes))
  const table = Buffer.from(out.buffer, 0, header.bytes)
  let offset = 0
  for (const { tensor, from, stored, type, values, bytes } of plans) {
    const key = new Uint8Array(8 + tensor.name.length)
    new DataView(key.buffer).setBigUint64(0, BigInt(tensor.name.length), true)
    key.set(new TextEncoder().encode(tensor.name), 8)
    const at = table.lastIndexOf(key) + key.length + 4 + 8 * tensor.shape.length
    view.setUint32(at, type.id, true)
    view.setBigUint64(at + 4, BigInt(offset), true)
    const x = new Float32Array(values)
    dequantize(from, file.subarray(tensor.offset, tensor.offset + tensor.bytes), x)
    const packed = stored === from ? null : quantize(stored, x, tensor.shape.at(-1)!)
    if (packed && widened) dequantize(stored, packed, x)
    out.set(widened ? new Uint8Array(x.buffer) : packed ?? file.subarray(tensor.offset, tensor.offset + tensor.bytes), header.bytes + offset)
    offset += align(bytes)
  }
  return out
}
