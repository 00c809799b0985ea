import { rowTypes } from '../kernels/operations.ts'
import { boundBytes, segmentWords, strideOf, tileRows } from '../kernels/rows.ts'
import type { Memory, State } from './memory.ts'

/** Live rows of a segment. */
export const liveOf = (m: Memory, segments: number, head: number, { tokens }: State): number => m.u32[segments / 4 + head * segmentWords]! + tokens

/** Places in one KV head's bound tiles, as src/kernels/rows.ts draws them. */
export interface Tiles {
  /** Rows of a tile: `stride`, or twice as many. */
  readonly rows: number
  read(row: number, page: number): number
  write(row: number, page: number, value: number): void
  /** The page's scale; 1 in f32 tiles. */
  scale(page: number): number
  setScale(page: number, scale: number): void
}

export function tilesOf(m: Memory, segments: number, head: number, headDim: number, type: number, pageSize: number): Tiles {
  const start = m.u32[segments / 4 + head * segmentWords + 6]!
  const i16 = type !== rowTypes.f32
  const rows = (pageSize === 1 ? 1 : 2) * strideOf(headDim)
  const bytes = boundBytes(i16 ? 'i16' : 'f32', headDim, pageSize, tileRows)
  const tile = (page: number): number => start + Math.floor(page / tileRows) * bytes
  const place = (row: number, page: number): number => tile(page) / (i16 ? 2 : 4) + row * tileRows + page % tileRows
  const scaleAt = (page: number): number => tile(page) / 4 + rows * tileRows / 2 + page % tileRows
  return {
    rows,
    read: (row, page) => (i16 ? m.i16 : m.f32)[place(row, page)]!,
    write(row, page, value) { (i16 ? m.i16 : m.f32)[place(row, page)] = value },
    scale: page => i16 ? m.f32[scaleAt(page)]! : 1,
    setScale(page, scale) { if (i16) m.f32[scaleAt(page)] = scale },
  }
}
