import { boundBytes, rowBytes, segmentWords, strideOf, tileRows, wholeTiles, type Kernels, type RowType, type Tensor } from '../kernels/index.ts'
import type { Shape } from './policy.ts'

/** What one layer of a sequence holds: for each KV head a segment (src/kernels/rows.ts) that can grow. */
export interface LayerCache {
  /** Segment table [kvHeads, 8] u32. */
  readonly table: Tensor
  readonly heads: Segment[]
  /** The last rotated queries, ring [·, heads, headDim] f32; null where nothing asks for them. */
  ring: Tensor | null
  /** Σ of all values, [kvHeads, headDim] f32; null where nothing asks for it. */
  sums: Tensor | null
}

/** One KV head's rows as the host sees them. */
interface Segment {
  count: number
  /** Rows that lie in another cache's memory, a multiple of 64, and where. */
  readonly split: number
  readonly base: { readonly tensor: Tensor; readonly capacity: number } | null
  tail: Tensor
  tailCapacity: number
  bounds: Tensor | null
  pages: number
}

export interface LayerOptions {
  readonly k: Kernels
  readonly shape: Shape
  readonly kv: RowType
}

interface Room {
  /** Rows each KV head must be able to hold. */
  readonly rows: readonly number[]
  readonly pageSize?: number
  readonly ring?: number
  readonly sums?: boolean
}

export function createLayer(o: LayerOptions, { rows, pageSize = 0, ring = 0, sums = false }: Room): LayerCache {
  const { k, shape } = o
  const layer: LayerCache = {
    table: k.tensor([shape.kvHeads, segmentWords], 'u32'),
    heads: rows.map(n => tailSegment(o, wholeTiles(Math.max(1, n)), pageSize)),
    ring: ring ? k.tensor([ring, shape.heads, shape.headDim], 'f32') : null,
    sums: sums ? k.tensor([shape.kvHeads, shape.headDim], 'f32') : null,
  }
  writeTable(o, layer)
  return layer
}

function tailSegment({ k, shape, kv }: LayerOptions, capacity: number, pageSize: number): Segment {
  const pages = pageSize ? Math.ceil(capacity / pageSize) : 0
  return {
    count: 0, split: 0, base: null,
    tail: k.tensor([capacity * rowBytes(kv, shape.headDim)], 'u8'), tailCapacity: capacity,
    bounds: pages ? k.tensor([boundBytes(kv, shape.headDim, pageSize, pages)], 'u8') : null, pages,
  }
}

/** Brings the backend's table up to date with `heads`. */
export function writeTable({ k }: LayerOptions, layer: LayerCache): void {
  k.upload(layer.table, layer.heads.flatMap(s => [s.count, s.split, s.base?.tensor.address ?? 0, s.base?.capacity ?? 0,
    s.tail.address, s.tailCapacity, s.bounds?.address ?? 0, Math.ceil(s.pages / tileRows)]))
}

/** After `advance`: the host's counts follow. */
export function advanced(layer: LayerCache, tokens: number): void {
  for (const s of layer.heads) s.count += tokens
}

/** After `gather`: the host's counts as given. */
export function setCounts(layer: LayerCache, counts: readonly number[]): void {
  layer.heads.forEach((s, h) => { s.count = counts[counts.length === 1 ? 0 : h]! })
}

export const capacityOf = (s: Segment): number => s.split + s.tailCapacity

/** Makes room for `more` rows in every head. Returns true where something moved; page bounds are then to be built again. */
export async function ensureRoom(o: LayerOptions, layer: LayerCache, more: number, pageSize = 0): Promise<boolean> {
  let moved = false
  for (const s of layer.heads) {
    const need = s.count + more
    if (need <= capacityOf(s)) continue
    // Half as much again: appending n rows one by one copies O(n) rows in all.
    const capacity = wholeTiles(Math.max(need - s.split, Math.ceil(s.tailCapacity * 1.5)))
    const rows = s.count - s.split
    const { k, shape, kv } = o
    const old = { tail: s.tail, capacity: s.tailCapacity }
    s.tail = k.tensor([capacity * rowBytes(kv, shape.headDim)], 'u8')
    s.tailCapacity = capacity
    for (const [start, width] of columns(kv, shape.headDim))
      k.copy(s.tail, start * capacity, old.tail, start * old.capacity, rows * width)
    k.free(old.tail)
    if (s.bounds) {
      k.free(s.bounds)
      s.pages = Math.ceil(capacityOf(s) / pageSize)
      s.bounds = k.tensor([boundBytes(kv, shape.headDim, pageSize, s.pages)], 'u8')
    }
    moved = true
  }
  if (moved) writeTable(o, layer)
  return moved
}

/** The columns of a part, each as [bytes per row before it, bytes per row]. */
function columns(kv: RowType, headDim: number): [number, number][] {
  const vector = strideOf(headDim) * (kv === 'f32' ? 4 : 2)
  const widths = kv === 'f32' ? [vector, vector, 4] : [vector, vector, 4, 4, 4]
  let start = 0
  return widths.map(width => {
    const column: [number, number] = [start, width]
    start += width
    return column
  })
}

/**
 * A cache that shares whole tiles of rows with `from` and copies the rest: what is appended to either stays its own.
 * `from` must outlive it and must not be cut meanwhile. room: rows to come.
 */
export function forkLayer(o: LayerOptions, from: LayerCache, room: number): LayerCache {
  const { k, shape, kv } = o
  const layer: LayerCache = {
    table: k.tensor([shape.kvHeads, segmentWords], 'u32'),
    ring: from.ring && k.tensor(from.ring.shape, 'f32'),
    sums: null,
    heads: from.heads.map(s => {
      if (s.base) throw new TypeError('fork: the cache must own its rows, got one that is a fork itself')
      const split = Math.floor(s.count / tileRows) * tileRows
      const rows = s.count - split
      const capacity = wholeTiles(rows + Math.max(1, room))
      const tail = k.tensor([capacity * rowBytes(kv, shape.headDim)], 'u8')
      for (const [start, width] of columns(kv, shape.headDim))
        k.copy(tail, start * capacity, s.tail, start * s.tailCapacity + split * width, rows * width)
      return { count: s.count, split, base: { tensor: s.tail, capacity: s.tailCapacity }, tail, tailCapacity: capacity, bounds: null, pages: 0 }
    }),
  }
  if (layer.ring && from.ring) k.copy(layer.ring, 0, from.ring, 0, from.ring.bytes)
  writeTable(o, layer)
  return layer
}

export function freeLayer({ k }: LayerOptions, layer: LayerCache | null | undefined): void {
  if (!layer) return
  k.free(layer.table, layer.ring, layer.sums)
  for (const s of layer.heads) k.free(s.tail, s.bounds)
}

/** Bytes held for the cache by this layer: rows and page bounds as allocated, the shared ones too. */
export function layerBytes({ shape, kv }: LayerOptions, layer: LayerCache): number {
  return layer.heads.reduce((sum, s) => sum + s.split * rowBytes(kv, shape.headDim) + s.tail.bytes + (s.bounds?.bytes ?? 0), 0)
}

/** Positions of the rows each KV head holds, ascending. */
export async function positionsOf({ k, shape, kv }: LayerOptions, layer: LayerCache): Promise<number[][]> {
  const before = columns(kv, shape.headDim).at(-1)![0]
  const read = async (tensor: Tensor, capacity: number, n: number): Promise<number[]> => {
    if (!n) return []
    const words: Tensor = { shape: [n], type: 'u32', address: tensor.address + before * capacity, bytes: n * 4 }
    return Array.from(await k.read(words))
  }
  return Promise.all(layer.heads.map(async s => [
    ...(s.base ? await read(s.base.tensor, s.base.capacity, s.split) : []), ...await read(s.tail, s.tailCapacity, s.count - s.split)]))
}
