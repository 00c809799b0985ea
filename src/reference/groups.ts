import { rowTypes } from '../kernels/operations.ts'
import { rowBytes, strideOf, tileRows } from '../kernels/rows.ts'
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
export function groupAt(m: Memory, at: number, headDim: number, type: number): Group {
  const stride = strideOf(headDim), q8 = type === rowTypes.q8
  const steps = q8 ? 255 : 15, half = (steps + 1) / 2
  const vector = q8 ? stride : stride / 2
  const values = at + tileRows * vector, keyScales = values + tileRows * vector, keyOffsets = keyScales + 4 * stride
  const valueScales = keyOffsets + 4 * stride, valueOffsets = valueScales + 4 * tileRows, positions = valueOffsets + 4 * tileRows

  function put(vectors: number, row: number, c: number, n: number): void {
    if (q8) m.u8[vectors + row * vector + c] = n - half
    else {
      const byte = vectors + row * vector + (c >> 4) * 8 + (c & 7)
      m.u8[byte] = c & 8 ? m.u8[byte]! & 15 | n << 4 : m.u8[byte]! & 240 | n
    }
  }
  function get(vectors: number, row: number, c: number): number {
    if (q8) return (m.u8[vectors + row * vector + c]! << 24) >> 24
    const byte = m.u8[vectors + row * vector + (c >> 4) * 8 + (c & 7)]!
    return (c & 8 ? byte >> 4 : byte & 15) - half
  }
  const number = (scale: number, offset: number, code: number): number => fround(m.f32[offset / 4]! + fround(m.f32[scale / 4]! * code))
  const channels = (of: (c: number) => number): Float32Array => Float32Array.from({ length: headDim }, (_, c) => of(c))

  return {
    key: row => channels(c => number(keyScales + 4 * c, keyOffsets + 4 * c, get(at, row, c))),
    value: row => channels(c => number(valueScales + 4 * row, valueOffsets + 4 * row, get(values, row, c))),
    position: row => m.u32[positions / 4 + row]!,
    write(rows) {
      m.u8.fill(0, at, at + tileRows * rowBytes(q8 ? 'q8' : 'q4', headDim))
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
