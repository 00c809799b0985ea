import { rowTypes } from '../kernels/operations.ts'
import { packedBits, rowBytes, segmentWords, strideOf, tileRows, type PackedType } from '../kernels/rows.ts'
import { groupAt, type Group, type RowNumbers } from './groups.ts'
import type { Memory } from './memory.ts'
import { nearest, smallestRow } from './nearest.ts'

/** One KV head's rows, as src/kernels/rows.ts draws them. Reads and writes whole rows by their index. */
export interface Rows {
  readonly count: number
  setCount(count: number): void
  /** keys [headDim] of a row as f32 numbers. */
  key(row: number): Float32Array
  value(row: number): Float32Array
  position(row: number): number
  /** Quantises as the row type says; packed rows must be in the tail. */
  write(row: number, key: ArrayLike<number>, value: ArrayLike<number>, position: number): void
}

/** Rows that lie one by one. */
export interface PlainRows extends Rows {
  /** Bytes as they are, from a row of another segment of the same type. */
  copy(row: number, from: PlainRows, fromRow: number): void
  place(row: number): Place
}

/** Addresses of one row. */
export interface Place { readonly key: number; readonly value: number; readonly keyScale: number; readonly valueScale: number; readonly position: number }

/** Codes in [−4095, 4095] of some numbers and their scale, as i16 rows have them. */
export function packVector(x: ArrayLike<number>): { codes: Int16Array; scale: number } {
  let largest = 0
  for (let c = 0; c < x.length; c++) largest = Math.max(largest, Math.abs(x[c]!))
  if (largest < smallestRow) largest = 0
  const inverse = largest === 0 ? 0 : Math.fround(4095 / largest)
  return { codes: Int16Array.from(x, v => nearest(Math.fround(Math.fround(v) * inverse))), scale: Math.fround(largest / 4095) }
}

/** The packed type of this number. */
const packedType = (type: number): PackedType | undefined => (Object.keys(packedBits) as PackedType[]).find(name => rowTypes[name] === type)

export const isPackedType = (type: number): boolean => packedType(type) !== undefined

export const rowsOf = (m: Memory, segments: number, head: number, headDim: number, type: number): Rows =>
  isPackedType(type) ? packedRows(m, segments, head, headDim, type) : plainRows(m, segments, head, headDim, type)

/** Rows of a packed type: groups in base, f32 rows in the tail. */
function packedRows(m: Memory, segments: number, head: number, headDim: number, type: number): Rows {
  const tail = plainRows(m, segments, head, headDim, rowTypes.f32)
  const split = (): number => m.u32[segments / 4 + head * segmentWords + 1]!
  const group = (row: number): Group => groupOf(m, segments, head, headDim, type, Math.floor(row / tileRows))
  return {
    get count() { return tail.count },
    setCount: tail.setCount,
    key: row => row < split() ? group(row).key(row % tileRows) : tail.key(row),
    value: row => row < split() ? group(row).value(row % tileRows) : tail.value(row),
    position: row => row < split() ? group(row).position(row % tileRows) : tail.position(row),
    write: tail.write,
  }
}

/** Group i of a segment's base. */
const groupOf = (m: Memory, segments: number, head: number, headDim: number, type: number, i: number): Group => {
  const packed = packedType(type)!
  return groupAt(m, m.u32[segments / 4 + head * segmentWords + 2]! + i * tileRows * rowBytes(packed, headDim), headDim, packed)
}

/** Makes these the rows of a packed segment, from row `first` (a multiple of 64) on: whole groups, then the tail. */
export function storePacked(m: Memory, segments: number, head: number, headDim: number, type: number, given: readonly RowNumbers[], first: number): void {
  const at = segments / 4 + head * segmentWords, whole = given.length - given.length % tileRows
  for (let row = 0; row < whole; row += tileRows) groupOf(m, segments, head, headDim, type, (first + row) / tileRows).write(given.slice(row, row + tileRows))
  m.u32[at] = first + given.length
  m.u32[at + 1] = first + whole
  const tail = plainRows(m, segments, head, headDim, rowTypes.f32)
  for (let row = whole; row < given.length; row++) tail.write(first + row, given[row]!.key, given[row]!.value, given[row]!.position)
}

export function plainRows(m: Memory, segments: number, head: number, headDim: number, type: number): PlainRows {
  const at = segments / 4 + head * segmentWords
  const stride = strideOf(headDim)
  const i16 = type === rowTypes.i16
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
    const { codes, scale: by } = packVector(x)
    m.f32[scale / 4] = by
    m.i16.fill(0, address / 2, address / 2 + stride)
    m.i16.set(codes, address / 2)
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
  }
}
