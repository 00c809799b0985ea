import { boundBytes, rowBytes, segmentWords, strideOf, tileRows, whole, wholeTiles, type Kernels, type RowType, type Tensor } from '../kernels/index.ts'
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
  /** Tokens per page of the bounds; 0 where there are none. */
  pageSize: number
  /** Rows that a sliding window left behind, in whole tiles: row 0 here is row `dropped` of the text. */
  dropped: number
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
}

export interface LayerOptions {
  readonly k: Kernels
  readonly shape: Shape
  readonly kv: RowType
}

/** rows: what each KV head must be able to hold; ring: queries to remember. */
export function createLayer(o: LayerOptions, { rows, ring = 0 }: { rows: readonly number[]; ring?: number }): LayerCache {
  const { shape } = o
  const layer: LayerCache = whole(o.k, k => ({
    table: k.tensor([shape.kvHeads, segmentWords], 'u32'),
    heads: rows.map(n => {
      const tailCapacity = wholeTiles(Math.max(1, n))
      return { count: 0, split: 0, base: null, tail: part({ ...o, k }, tailCapacity), tailCapacity, bounds: null }
    }),
    ring: ring ? k.tensor([ring, shape.heads, shape.headDim], 'f32') : null,
    sums: null,
    pageSize: 0,
    dropped: 0,
  }))
  writeTable(o, layer)
  return layer
}

const part = ({ k, shape, kv }: LayerOptions, capacity: number): Tensor => k.tensor([capacity * rowBytes(kv, shape.headDim)], 'u8')

const pagesOf = (s: Segment, pageSize: number): number => pageSize ? Math.ceil(capacityOf(s) / pageSize) : 0

/** Brings the backend's table up to date with `heads`. */
export function writeTable({ k }: LayerOptions, layer: LayerCache): void {
  k.upload(layer.table, layer.heads.flatMap(s => [s.count, s.split, s.base?.tensor.address ?? 0, s.base?.capacity ?? 0,
    s.tail.address, s.tailCapacity, s.bounds?.address ?? 0, Math.ceil(pagesOf(s, layer.pageSize) / tileRows)]))
}

/** After `advance`: the host's counts follow. */
export function advanced(layer: LayerCache, tokens: number): void {
  for (const s of layer.heads) s.count += tokens
}

/** After `gather`: the host's counts as given, one for all heads or one each. */
export function setCounts(layer: LayerCache, counts: readonly number[]): void {
  layer.heads.forEach((s, h) => { s.count = counts[counts.length === 1 ? 0 : h]! })
}

export const capacityOf = (s: Segment): number => s.split + s.tailCapacity

/** Room for page bounds (pageSize 0: none) and for the sum of values; true where there was none of that kind before. */
export function ensureIndex(o: LayerOptions, layer: LayerCache, pageSize: number, sums: boolean): boolean {
  const { k, shape, kv } = o
  let changed = false
  if (sums && !layer.sums) {
    layer.sums = k.tensor([shape.kvHeads, shape.headDim], 'f32')
    changed = true
  }
  if (layer.pageSize !== pageSize) {
    layer.pageSize = pageSize
    for (const s of layer.heads) placeBounds(k, s, shape, kv, pageSize)
    writeTable(o, layer)
    changed = true
  }
  return changed
}

function placeBounds(k: Kernels, s: Segment, shape: Shape, kv: RowType, pageSize: number): void {
  k.free(s.bounds)
  s.bounds = null
  if (pageSize) s.bounds = k.tensor([boundBytes(kv, shape.headDim, pageSize, pagesOf(s, pageSize))], 'u8')
}

/** Makes room for `more` rows in every head. True where something moved: page bounds are then to be built again. */
export function ensureRoom(o: LayerOptions, layer: LayerCache, more: number): boolean {
  const { k, shape, kv } = o
  let moved = false
  for (const s of layer.heads) {
    const need = s.count + more
    if (need <= capacityOf(s)) continue
    // Half as much again: appending n rows one by one copies O(n) rows in all.
    const capacity = wholeTiles(Math.max(need - s.split, Math.ceil(s.tailCapacity * 1.5)))
    const old = { tail: s.tail, capacity: s.tailCapacity }
    s.tail = part(o, capacity)
    s.tailCapacity = capacity
    moveRows(o, s, old.tail, old.capacity, 0)
    k.free(old.tail)
    if (layer.pageSize) placeBounds(k, s, shape, kv, layer.pageSize)
    moved = true
  }
  if (moved) writeTable(o, layer)
  return moved
}

/** Copies the rows that a tail holds out of another part, from its row `first` on. */
function moveRows({ k, shape, kv }: LayerOptions, s: Segment, from: Tensor, fromCapacity: number, first: number): void {
  const rows = s.count - s.split
  for (const { before, width } of columns(kv, shape.headDim))
    k.copy(s.tail, before * s.tailCapacity, from, before * fromCapacity + first * width, rows * width)
}

/** The columns of a part: bytes per row before it, bytes per row. */
function columns(kv: RowType, headDim: number): { before: number; width: number }[] {
  const vector = strideOf(headDim) * (kv === 'f32' ? 4 : 2)
  const widths = kv === 'f32' ? [vector, vector, 4] : [vector, vector, 4, 4, 4]
  return widths.map((width, i) => ({ before: widths.slice(0, i).reduce((a, b) => a + b, 0), width }))
}

/**
 * A cache that shares whole tiles of rows with `from` and copies the rest: what is appended to either stays its own. What `from`
 * shares or owns must outlive it and must not be cut meanwhile. room: rows to come; rows: how many of `from` it starts with.
 */
export function forkLayer(o: LayerOptions, from: LayerCache, room: number, rows = Infinity): LayerCache {
  const { k, shape } = o
  const shared = Math.max(...from.heads.map(s => s.base ? s.split : 0))
  if (rows < shared) throw new RangeError(`fork: rows must be at least the ${shared} that are shared already, got ${rows}`)
  const layer: LayerCache = whole(k, k => ({
    table: k.tensor([shape.kvHeads, segmentWords], 'u32'),
    ring: from.ring && k.tensor(from.ring.shape, 'f32'),
    sums: null,
    pageSize: 0,
    dropped: from.dropped,
    heads: from.heads.map(s => {
      const count = Math.min(s.count, rows)
      const split = s.base ? s.split : Math.floor(count / tileRows) * tileRows
      const tailCapacity = wholeTiles(count - split + Math.max(1, room))
      const base = s.base ?? { tensor: s.tail, capacity: s.tailCapacity }
      const fork: Segment = { count, split, base, tail: part({ ...o, k }, tailCapacity), tailCapacity, bounds: null }
      moveRows(o, fork, s.tail, s.tailCapacity, split - s.split)
      return fork
    }),
  }))
  if (layer.ring && from.ring) k.copy(layer.ring, 0, from.ring, 0, from.ring.bytes)
  writeTable(o, layer)
  return layer
}

/** A cache of its own with the same rows, bounds and queries. Rows that are shared stay so. */
export function copyLayer(o: LayerOptions, from: LayerCache): LayerCache {
  const { k, shape } = o
  const layer: LayerCache = whole(k, k => {
    const copy = (t: Tensor): Tensor => {
      const to = k.tensor(t.shape, t.type)
      k.copy(to, 0, t, 0, t.bytes)
      return to
    }
    return {
      table: k.tensor([shape.kvHeads, segmentWords], 'u32'), pageSize: from.pageSize, dropped: from.dropped,
      ring: from.ring && copy(from.ring), sums: from.sums && copy(from.sums),
      heads: from.heads.map(s => ({ ...s, tail: copy(s.tail), bounds: s.bounds && copy(s.bounds) })),
    }
  })
  writeTable(o, layer)
  return layer
}

export function freeLayer({ k }: LayerOptions, layer: LayerCache | null | undefined): void {
  if (!layer) return
  k.free(layer.table, layer.ring, layer.sums)
  for (const s of layer.heads) k.free(s.tail, s.bounds)
}

/** Bytes held for the cache by this layer: rows and page bounds as allocated, shared rows too. */
export function layerBytes({ shape, kv }: LayerOptions, layer: LayerCache): number {
  return layer.heads.reduce((sum, s) => sum + s.split * rowBytes(kv, shape.headDim) + s.tail.bytes + (s.bounds?.bytes ?? 0), layer.sums?.bytes ?? 0)
}

/** Positions of the rows each KV head holds, ascending. */
export async function positionsOf({ k, shape, kv }: LayerOptions, layer: LayerCache): Promise<number[][]> {
  const { before } = columns(kv, shape.headDim).at(-1)!
  const read = async (tensor: Tensor, capacity: number, n: number): Promise<number[]> =>
    n ? Array.from(await k.read({ shape: [n], type: 'u32', address: tensor.address + before * capacity, bytes: n * 4 })) : []
  return Promise.all(layer.heads.map(async s => [
    ...(s.base ? await read(s.base.tensor, s.base.capacity, s.split) : []), ...await read(s.tail, s.tailCapacity, s.count - s.split)]))
}
