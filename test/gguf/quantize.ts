// f32 to block bytes, each step rounded to f32 as the Python `gguf` package rounds (quants.py), so that bytes agree.
import { blockTypes, type BlockName } from '../../src/gguf/index.ts'

/** values [rows, columns] → bytes of whole blocks */
export function quantize(name: BlockName, values: Float32Array, columns = values.length): Uint8Array<ArrayBuffer> {
  const type = blockTypes[name]
  if (columns % type.values || values.length % columns)
    throw new RangeError(`quantize: rows must be a multiple of ${type.values} values as ${name}, got ${columns} in ${values.length}`)
  const bytes = new Uint8Array(values.length / type.values * type.bytes)
  const out = new DataView(bytes.buffer)
  for (let b = 0, at = 0; at < bytes.length; b++, at += type.bytes)
    writers[name](out, at, values.subarray(b * type.values, (b + 1) * type.values))
  return bytes
}

const { fround, trunc, abs } = Math

const writers: Record<BlockName, (out: DataView, at: number, x: Float32Array) => void> = {
  F32: (out, at, x) => out.setFloat32(at, x[0]!, true),
  F16: (out, at, x) => out.setUint16(at, toHalf(x[0]!), true),
  BF16(out, at, x) {
    const bits = new DataView(x.buffer, x.byteOffset, 4).getUint32(0, true)
    const nan = (bits & 0x7fffffff) > 0x7f800000
    out.setUint16(at, nan ? bits >>> 16 | 64 : bits + 0x7fff + (bits >>> 16 & 1) >>> 16, true) // to nearest, ties to even
  },
  Q8_0(out, at, x) {
    const scale = fround(x.reduce((most, v) => Math.max(most, abs(v)), 0) / 127), inverse = inverseOf(scale)
    out.setUint16(at, toHalf(scale), true)
    x.forEach((v, j) => {
      const y = fround(v * inverse)
      out.setInt8(at + 2 + j, Math.sign(y) * Math.floor(abs(y) + 0.5)) // ties away from zero
    })
  },
  Q4_0(out, at, x) {
    const most = x.reduce((most, v) => abs(v) > abs(most) ? v : most, x[0]!)
    const scale = fround(most / -8), inverse = inverseOf(scale)
    out.setUint16(at, toHalf(scale), true)
    nibbles(out, at + 2, x, v => trunc(fround(fround(v * inverse) + 8.5)))
  },
  Q4_1(out, at, x) {
    const low = x.reduce((a, b) => Math.min(a, b)), high = x.reduce((a, b) => Math.max(a, b))
    const scale = fround(fround(high - low) / 15), inverse = inverseOf(scale)
    out.setUint16(at, toHalf(scale), true)
    out.setUint16(at + 2, toHalf(low), true)
    nibbles(out, at + 4, x, v => trunc(fround(fround(fround(v - low) * inverse) + 0.5)))
  },
}

const inverseOf = (scale: number): number => scale === 0 ? 0 : fround(1 / scale)

function nibbles(out: DataView, at: number, x: Float32Array, code: (v: number) => number): void {
  const bounded = (v: number): number => Math.min(15, Math.max(0, code(v)))
  for (let j = 0; j < 16; j++) out.setUint8(at + j, bounded(x[j]!) | bounded(x[j + 16]!) << 4)
}

const value = new Float32Array(1), word = new Uint32Array(value.buffer)

/** The nearest f16 of an f32, ties to even, as its 16 bits. */
export function toHalf(x: number): number {
  value[0] = x
  const bits = word[0]!, sign = bits >>> 16 & 0x8000, size = bits & 0x7fffffff
  if (size > 0x7f800000) return sign | 0x7e00 | size >>> 13 & 0x3ff
  if (size >= 0x477ff000) return sign | 0x7c00 // 65520 and above are nearer to infinity
  if (size < 0x38800000) { // below 2^-14, where an f16 counts in steps of 2^-24
    const steps = abs(value[0]!) * 2 ** 24, whole = Math.floor(steps), rest = steps - whole
    return sign | whole + (rest > 0.5 || rest === 0.5 && whole % 2 === 1 ? 1 : 0)
  }
  return sign | size - 0x38000000 + 0xfff + (size >>> 13 & 1) >>> 13
}
