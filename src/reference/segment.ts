import { rowTypes, type RowType } from '../kernels/operations.ts'
import { segmentWords, strideOf } from '../kernels/rows.ts'
import type { Memory } from './memory.ts'

const typeName = (type: number): RowType => type === rowTypes.f32 ? 'f32' : 'i16'

/** One KV head's rows, as src/kernels/rows.ts draws them. Reads and writes whole rows by their index. */
export interface Rows {
  readonly count: number
  setCount(count: number): void
  /** keys [headDim] of a row as f32 numbers. */
  key(row: number): Float32Array
  value(row: number): Float32Array
  position(row: number): number
  /** Quantises as the row type says. */
  write(row: number, key: ArrayLike<number>, value: ArrayLike<number>, position: number): void
  /** Bytes as they are, from a row of another segment of the same type. */
  copy(row: number, from: Rows, fromRow: number): void
  place(row: number): Place
  /** First byte of the bound tiles. */
  readonly bounds: number
}

/** Addresses of one row. */
export interface Place { readonly key: number; readonly value: number; readonly keyScale: number; readonly valueScale: number; readonly position: number }

export function rowsOf(m: Memory, segments: number, head: number, headDim: number, type: number): Rows {
  const at = segments / 4 + head * segmentWords
  const stride = strideOf(headDim)
  const i16 = typeName(type) === 'i16'
  const bytes = i16 ? 2 : 4

  function place(row: number): Place {
    const split = m.u32[at + 1]!
    const [part, capacity, r] = row < split
      ? [m.u32[at + 2]!, m.u32[at + 3]!, row] : [m.u32[at + 4]!, m.u32[at + 5]!, row - split]
    const values = part + capacity * stride * bytes
    const scales = values + capacity * stride * bytes
    const positions = i16 ? scales + capacity * 8 : scales
    return { key: part + r * stride * bytes, value: values + r * stride * bytes,
      keyScale: scales + r * 4, valueScale: scales + capacity * 4 + r * 4, position: positions + r * 4 }
  }

  function load(address: number, scale: number): Float32Array {
    if (!i16) return m.f32.slice(address / 4, address / 4 + headDim)
    const s = m.f32[scale / 4]!
    return Float32Array.from(m.i16.subarray(address / 2, address / 2 + headDim), code => code * s)
  }

  function save(address: number, scale: number, x: ArrayLike<number>): void {
    if (!i16) {
      m.f32.fill(0, address / 4, address / 4 + stride)
      m.f32.set(x, address / 4)
      return
    }
    let largest = 0
    for (let c = 0; c < headDim; c++) largest = Math.max(largest, Math.abs(x[c]!))
    if (largest < smallestRow) largest = 0
    m.f32[scale / 4] = Math.fround(largest / 4095)
    const inverse = largest === 0 ? 0 : Math.fround(4095 / largest)
    m.i16.fill(0, address / 2, address / 2 + stride)
    for (let c = 0; c < headDim; c++) m.i16[address / 2 + c] = nearest(Math.fround(Math.fround(x[c]!) * inverse))
  }

  return {
    get count() { return m.u32[at]! },
    setCount(count) { m.u32[at] = count },
    key: row => load(place(row).key, place(row).keyScale),
    value: row => load(place(row).value, place(row).valueScale),
    position: row => m.u32[place(row).position / 4]!,
    write(row, key, value, position) {
      const p = place(row)
      save(p.key, p.keyScale, key)
      save(p.value, p.valueScale, value)
      m.u32[p.position / 4] = position
    },
    copy(row, from, fromRow) {
      const to = place(row), source = from.place(fromRow)
      m.u8.copyWithin(to.key, source.key, source.key + stride * bytes)
      m.u8.copyWithin(to.value, source.value, source.value + stride * bytes)
      if (i16) {
        m.u32[to.keyScale / 4] = m.u32[source.keyScale / 4]!
        m.u32[to.valueScale / 4] = m.u32[source.valueScale / 4]!
      }
      m.u32[to.position / 4] = m.u32[source.position / 4]!
    },
    place,
    get bounds() { return m.u32[at + 6]! },
  }
}

/** Rows whose largest value is smaller count as zeros (src/kernels/rows.ts). */
export const smallestRow = 2 ** -116

/** Nearest whole number, ties to even. */
export function nearest(x: number): number {
  const floor = Math.floor(x), rest = x - floor
  if (rest !== 0.5) return Math.round(x)
  return floor % 2 === 0 ? floor : floor + 1
}
