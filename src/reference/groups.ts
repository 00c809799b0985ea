import { packedBits, rowBytes, strideOf, tileRows, type PackedType } from '../kernels/rows.ts'
import type { Memory } from './memory.ts'
import { nearest, smallestRow } from './nearest.ts'

const { fround } = Math

/** One row's numbers, keys and values [headDim]. */
export interface RowNumbers { readonly key: Float32Array; readonly value: Float32Array; readonly position: number }

/** A group of 64 packed rows, as src/kernels/rows.ts draws it. */
export interface Group {
  key(row: number): Float32Array
  value(row: number): Float32Array
  position(row: number): number
  write(rows: readonly RowNumbers[]): void
}

/** Scale and offset that numbers share, and the code n of any number under them. */
function encode(x: Float32Array, steps: number): { scale: number; offset: number; n(v: number): number } {
  const low = x.reduce((a, b) => Math.min(a, b), Infinity), high = x.reduce((a, b) => Math.max(a, b), -Infinity)
  const wide = fround(high - low), range = wide < smallestRow ? 0 : wide
  const scale = fround(range / steps), inverse = range ? fround(steps / range) : 0
  return {
    scale, offset: fround(low + fround(scale * ((steps + 1) / 2))),
    n: v => Math.min(steps, Math.max(0, nearest(fround(fround(v - low) * inverse)))),
  }
}

/** The group that lies at byte `at`. */
export function groupAt(m: Memory, at: number, headDim: number, type: PackedType): Group {
  const stride = strideOf(headDim), bits = packedBits[type]
  const steps = 2 ** bits - 1, half = (steps + 1) / 2
  const vector = stride * bits / 8
  const values = at + tileRows * vector, keyScales = values + tileRows * vector, keyOffsets = keyScales + 4 * stride
  const valueScales = keyOffsets + 4 * stride, valueOffsets = valueScales + 4 * tileRows, positions = valueOffsets + 4 * tileRows

  // 16 channels go to 2 × bits bytes: channel c to byte c modulo their number, the first of those from the lowest bits on.
  const place = (vectors: number, row: number, c: number): { byte: number; shift: number } => {
    const lane = c & 15, bytes = 2 * bits
    return { byte: vectors + row * vector + (c >> 4) * bytes + lane % bytes, shift: Math.floor(lane / bytes) * bits }
  }
  // An i8 is n − 128: the top bit the other way round.
  const flip = bits === 8 ? half : 0
  function put(vectors: number, row: number, c: number, n: number): void {
    const { byte, shift } = place(vectors, row, c)
    m.u8[byte] = m.u8[byte]! & ~(steps << shift) | (n ^ flip) << shift
  }
  function get(vectors: number, row: number, c: number): number {
    const { byte, shift } = place(vectors, row, c)
    return (m.u8[byte]! >> shift & steps ^ flip) - half
  }
  const number = (scale: number, offset: number, code: number): number => fround(m.f32[offset / 4]! + fround(m.f32[scale / 4]! * code))
  const channels = (of: (c: number) => number): Float32Array => Float32Array.from({ length: headDim }, (_, c) => of(c))

  return {
    key: row => channels(c => number(keyScales + 4 * c, keyOffsets + 4 * c, get(at, row, c))),
    value: row => channels(c => number(valueScales + 4 * row, valueOffsets + 4 * row, get(values, row, c))),
    position: row => m.u32[positions / 4 + row]!,
    write(rows) {
      m.u8.fill(0, at, at + tileRows * rowBytes(type, headDim))
      for (let c = 0; c < stride; c++) {
        // Padding is a channel of zeros.
        const keys = Float32Array.from(rows, ({ key }) => key[c] ?? 0)
        const { scale, offset, n } = encode(keys, steps)
        m.f32[keyScales / 4 + c] = scale
        m.f32[keyOffsets / 4 + c] = offset
        keys.forEach((v, row) => put(at, row, c, n(v)))
      }
      rows.forEach(({ value, position }, row) => {
        const { scale, offset, n } = encode(value, steps)
        m.f32[valueScales / 4 + row] = scale
        m.f32[valueOffsets / 4 + row] = offset
        for (let c = 0; c < stride; c++) put(values, row, c, n(value[c] ?? 0))
        m.u32[positions / 4 + row] = position
      })
    },
  }
}
