// f32 to block bytes, each step rounded to f32 as the Python `gguf` package rounds (quants.py), so that bytes agree; what it cannot quantise in superblocks.ts.
import { blockTypes, type BlockName } from '../../src/gguf/index.ts'
import { toHalf } from './half.ts'
import { superblocks } from './superblocks.ts'

export { toHalf }

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
  Q5_0(out, at, x) {
    const most = x.reduce((most, v) => abs(v) > abs(most) ? v : most, x[0]!)
    const scale = fround(most / -16), inverse = inverseOf(scale)
    out.setUint16(at, toHalf(scale), true)
    fives(out, at + 2, x, v => trunc(fround(fround(v * inverse) + 16.5)))
  },
  Q5_1(out, at, x) {
    const low = x.reduce((a, b) => Math.min(a, b)), high = x.reduce((a, b) => Math.max(a, b))
    const scale = fround(fround(high - low) / 31), inverse = inverseOf(scale)
    out.setUint16(at, toHalf(scale), true)
    out.setUint16(at + 2, toHalf(low), true)
    fives(out, at + 4, x, v => trunc(fround(fround(fround(v - low) * inverse) + 0.5)))
  },
  TQ1_0(out, at, x) {
    const trits = ternary(out, at + 52, x)
    const digits = (to: number, bytes: number, count: number, first: number): void => {
      for (let j = 0; j < bytes; j++) {
        const number = Array.from({ length: 5 }, (_, i) => i < count ? trits[first + bytes * i + j]! : 0).reduce((a, trit) => 3 * a + trit, 0)
        out.setUint8(at + to + j, Math.floor((number * 256 + 242) / 243)) // a fraction of 243 as one of 256, rounded up
      }
    }
    digits(0, 32, 5, 0)
    digits(32, 16, 5, 160)
    digits(48, 4, 4, 240)
  },
  TQ2_0(out, at, x) {
    ternary(out, at + 64, x).forEach((trit, j) => {
      const byte = at + (j >> 7) * 32 + j % 32
      out.setUint8(byte, out.getUint8(byte) | trit << 2 * (j >> 5 & 3))
    })
  },
  ...superblocks,
}

/** 0, 1 or 2 for each value; the scale is stored. */
function ternary(out: DataView, at: number, x: Float32Array): number[] {
  const scale = x.reduce((most, v) => Math.max(most, abs(v)), 0), inverse = inverseOf(scale)
  out.setUint16(at, toHalf(scale), true)
  return Array.from(x, v => {
    const y = fround(v * inverse)
    return 1 + Math.sign(y) * Math.floor(abs(y) + 0.5)
  })
}

const inverseOf = (scale: number): number => scale === 0 ? 0 : fround(1 / scale)

function nibbles(out: DataView, at: number, x: Float32Array, code: (v: number) => number): void {
  const bounded = (v: number): number => Math.min(15, Math.max(0, code(v)))
  for (let j = 0; j < 16; j++) out.setUint8(at + j, bounded(x[j]!) | bounded(x[j + 16]!) << 4)
}

/** Fifth bits, then nibbles. */
function fives(out: DataView, at: number, x: Float32Array, code: (v: number) => number): void {
  const bounded = Array.from(x, v => Math.min(31, Math.max(0, code(v))))
  bounded.forEach((n, j) => out.setUint8(at + (j >> 3), out.getUint8(at + (j >> 3)) | n >> 4 << j % 8))
  nibbles(out, at + 4, x.map((_, j) => bounded[j]! & 15), n => n)
}
