import { boundBytes, isPacked, roomFor, rowBytes, rowTypes, segmentWords, strideOf, tailType, tileRows, whole, wholeGroups, wholeTiles, type Kernels, type RowType, type Tensor } from '../kernels/index.ts'
import type { Shape } from './policy.ts'

/** What one layer of a sequence holds: for each KV head a segment (src/kernels/rows.ts) that can grow. */
export interface LayerCache {
  readonly type: RowType
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
  /** Rows in base, a multiple of 64: another cache's memory; or this layer's own, where its rows are packed. */
  split: number
  base: { readonly tensor: Tensor; readonly capacity: number } | null
  tail: Tensor
  tailCapacity: number
  bounds: Tensor | null
}

export interface LayerOptions {
  readonly k: Kernels
  readonly shape: Shape
  readonly kv: RowType
}

/** rows: what each KV head must be able to hold; ring: queries to remember; type: as kv says unless given. */
export function createLayer(o: LayerOptions, { rows, ring = 0, type = o.kv }: { rows: readonly number[]; ring?: number; type?: RowType }): LayerCache {
  const { shape } = o
  const layer: LayerCache = whole(o.k, k => ({
    type,
    table: k.tensor([shape.kvHeads, segmentWords], 'u32'),
    heads: rows.map(n => {
      const tailCapacity = isPacked(type) ? tileRows : roomFor(type, n), lent = { ...o, k }
      return { count: 0, split: 0, base: isPacked(type) ? groups(lent, type, n) : null, tail: part(lent, tailType(type), tailCapacity), tailCapacity, bounds: null }
    }),
    ring: ring ? k.tensor([ring, shape.heads, shape.headDim], 'f32') : null,
    sums: null,
    pageSize: 0,
    dropped: 0,
  }))
  writeTable(o, layer)
  return layer
}

const part = ({ k, shape }: LayerOptions, type: RowType, capacity: number): Tensor => k.tensor([capacity * rowBytes(type, shape.headDim)], 'u8')

/** A place for the whole groups of so many packed rows. */
const groups = (o: LayerOptions, type: RowType, rows: number): Segment['base'] =>
  rows < tileRows ? null : { tensor: part(o, type, wholeGroups(rows)), capacity: wholeGroups(rows) }

const pagesOf = (type: RowType, s: Segment, pageSize: number): number => pageSize ? Math.ceil(capacityOf(type, s) / pageSize) : 0

/** Brings the backend's table up to date with `heads`. */
export function writeTable({ k }: LayerOptions, layer: LayerCache): void {
  k.upload(layer.table, layer.heads.flatMap(s => [s.count, s.split, s.base?.tensor.address ?? 0, s.base?.capacity ?? 0,
    s.tail.address, s.tailCapacity, s.bounds?.address ?? 0, Math.ceil(pagesOf(layer.type, s, layer.pageSize) / tileRows)]))
}

/** After `advance`: the host's counts follow. */
export function advanced(layer: LayerCache, tokens: number): void {
  for (const s of layer.heads) s.count += tokens
}

/** After `pack`: the host's splits follow. True where rows were packed: page bounds and sums are then to be built again. */
export function packed(layer: LayerCache): boolean {
  if (!isPacked(layer.type)) return false
  const before = layer.heads.map(s => s.split)
  for (const s of layer.heads) s.split = wholeGroups(s.count)
  return layer.heads.some((s, h) => s.split !== before[h])
}

/** After `gather`: the host's counts as given, one for all heads or one each. */
export function setCounts(layer: LayerCache, counts: readonly number[]): void {
  layer.heads.forEach((s, h) => { s.count = counts[counts.length === 1 ? 0 : h]! })
  packed(layer)
}

/** Rows that a head can ever have before it moves. */
const capacityOf = (type: RowType, s: Segment): number => (isPacked(type) ? s.base?.capacity ?? 0 : s.split) + s.tailCapacity

/** Rows that count, of the head that has most. */
export const mostCount = (layer: LayerCache): number => Math.max(...layer.heads.map(s => s.count))

/** Places of the head that has most. */
export const mostRows = (layer: LayerCache): number => Math.max(...layer.heads.map(s => capacityOf(layer.type, s)))

/** Room for page bounds (pageSize 0: none) and for the sum of values; true where there was none of that kind before. */
export function ensureIndex(o: LayerOptions, layer: LayerCache, pageSize: number, sums: boolean): boolean {
  const { k, shape } = o
  let changed = false
  if (sums && !layer.sums) {
    layer.sums = k.tensor([shape.kvHeads, shape.headDim], 'f32')
    changed = true
  }
  if (layer.pageSize !== pageSize) {
    layer.pageSize = pageSize
    for (const s of layer.heads) placeBounds(o, layer, s)
    writeTable(o, layer)
    changed = true
  }
  return changed
}

function placeBounds({ k, shape }: LayerOptions, { type, pageSize }: LayerCache, s: Segment): void {
  k.free(s.bounds)
  s.bounds = null
  if (pageSize) s.bounds = k.tensor([boundBytes(type, shape.headDim, pageSize, pagesOf(type, s, pageSize))], 'u8')
}

/**
 * Makes room for `more` rows in every head, and for `later` ones that come after those were packed where that is done. True where something moved:
 * page bounds are then to be built again.
 */
export function ensureRoom(o: LayerOptions, layer: LayerCache, more: number, later = 0): boolean {
  let moved = false
  for (const s of layer.heads)
    if (isPacked(layer.type) ? growPacked(o, layer.type, s, more, later) : growPlain(o, layer.type, s, more + later)) {
      if (layer.pageSize) placeBounds(o, layer, s)
      moved = true
    }
  if (moved) writeTable(o, layer)
  return moved
}

/** Half as much again: appending n rows one by one copies O(n) rows in all. */
const growth = 1.5

function growPlain(o: LayerOptions, type: RowType, s: Segment, more: number): boolean {
  const need = s.count + more - s.split
  if (need <= s.tailCapacity) return false
  growTail(o, type, s, wholeTiles(Math.max(need, Math.ceil(s.tailCapacity * growth))))
  return true
}

function growPacked(o: LayerOptions, type: RowType, s: Segment, more: number, later: number): boolean {
  const tail = s.count - s.split + more > s.tailCapacity, need = wholeGroups(s.count + more + later), { base } = s
  if (tail) growTail(o, type, s, wholeTiles(s.count - s.split + more))
  if (need <= (base?.capacity ?? 0)) return tail
  s.base = groups(o, type, Math.max(need, Math.ceil((base?.capacity ?? 0) * growth)))
  if (base) {
    o.k.copy(s.base!.tensor, 0, base.tensor, 0, s.split * rowBytes(type, o.shape.headDim))
    o.k.free(base.tensor)
  }
  return true
}

/** A tail of another size with the same rows. */
function growTail(o: LayerOptions, type: RowType, s: Segment, capacity: number): void {
  const old = { tail: s.tail, capacity: s.tailCapacity }
  s.tail = part(o, tailType(type), capacity)
  s.tailCapacity = capacity
  moveRows(o, type, s, old.tail, old.capacity, 0)
  o.k.free(old.tail)
}

/** Packs what a prompt has appended, where rows are packed; the tail is then as long as decoding needs it. */
export async function packLayer(o: LayerOptions, layer: LayerCache): Promise<void> {
  const { type } = layer
  if (!isPacked(type)) return
  const { kvHeads, headDim } = o.shape
  await o.k.once({ tokens: 0, position: 0 }, () => o.k.pack({ segments: layer.table, kvHeads, headDim, type: rowTypes[type] }))
  packed(layer)
  for (const s of layer.heads) if (s.tailCapacity > tileRows) growTail(o, type, s, tileRows)
  if (layer.pageSize) for (const s of layer.heads) placeBounds(o, layer, s)
  writeTable(o, layer)
}

/** Copies the rows that a tail holds out of another part, from its row `first` on. */
function moveRows({ k, shape }: LayerOptions, type: RowType, s: Segment, from: Tensor, fromCapacity: number, first: number): void {
  const rows = s.count - s.split
  for (const { before, width } of columns(tailType(type), shape.headDim))
    k.copy(s.tail, before * s.tailCapacity, from, before * fromCapacity + first * width, rows * width)
}

/** The columns of a part of rows that are not packed: bytes per row before it, bytes per row. */
function columns(type: 'f32' | 'i16', headDim: number): { before: number; width: number }[] {
  const vector = strideOf(headDim) * (type === 'f32' ? 4 : 2)
  const widths = type === 'f32' ? [vector, vector, 4] : [vector, vector, 4, 4, 4]
  return widths.map((width, i) => ({ before: widths.slice(0, i).reduce((a, b) => a + b, 0), width }))
}

/**
 * A cache that shares whole tiles of rows with `from` and copies the rest: what is appended to either stays its own. What `from`
 * shares or owns must outlive it and must not be cut meanwhile. room: rows to come; rows: how many of `from` it starts with.
 */
export function forkLayer(o: LayerOptions, from: LayerCache, room: number, rows = Infinity): LayerCache {
  const { k, shape } = o
  const { type } = from
  if (isPacked(type)) throw new TypeError(`fork: rows must lie one by one to be shared, got ${type}`)
  const shared = Math.max(...from.heads.map(s => s.base ? s.split : 0))
  if (rows < shared) throw new RangeError(`fork: rows must be at least the ${shared} that are shared already, got ${rows}`)
  const layer: LayerCache = whole(k, k => ({
    type,
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
      const fork: Segment = { count, split, base, tail: part({ ...o, k }, type, tailCapacity), tailCapacity, bounds: null }
      moveRows(o, type, fork, s.tail, s.tailCapacity, split - s.split)
      return fork
    }),
  }))
  if (layer.ring && from.ring) k.copy(layer.ring, 0, from.ring, 0, from.ring.bytes)
  writeTable(o, layer)
  return layer
}

/** A cache of its own with the same rows, bounds and queries. Rows that are shared stay so; packed ones are copied. */
export function copyLayer(o: LayerOptions, from: LayerCache): LayerCache {
  const { k, shape } = o
  const own = isPacked(from.type)
  const layer: LayerCache = whole(k, k => {
    const copy = (t: Tensor): Tensor => {
      const to = k.tensor(t.shape, t.type)
      k.copy(to, 0, t, 0, t.bytes)
      return to
    }
    return {
      type: from.type, table: k.tensor([shape.kvHeads, segmentWords], 'u32'), pageSize: from.pageSize, dropped: from.dropped,
      ring: from.ring && copy(from.ring), sums: from.sums && copy(from.sums),
      heads: from.heads.map(s => ({ ...s, base: own && s.base ? { ...s.base, tensor: copy(s.base.tensor) } : s.base, tail: copy(s.tail), bounds: s.bounds && copy(s.bounds) })),
    }
  })
  writeTable(o, layer)
  return layer
}

export function freeLayer({ k }: LayerOptions, layer: LayerCache | null | undefined): void {
  if (!layer) return
  k.free(layer.table, layer.ring, layer.sums)
  for (const s of layer.heads) k.free(s.tail, s.bounds, isPacked(layer.type) ? s.base?.tensor : null)
}

/** Bytes held for the cache by this layer: rows and page bounds as allocated, shared rows too. */
export function layerBytes({ shape }: LayerOptions, { type, heads, sums }: LayerCache): number {
  const base = (s: Segment): number => isPacked(type) ? s.base?.tensor.bytes ?? 0 : s.split * rowBytes(type, shape.headDim)
  return heads.reduce((sum, s) => sum + base(s) + s.tail.bytes + (s.bounds?.bytes ?? 0), sums?.bytes ?? 0)
}

/** Positions of the rows each KV head holds, ascending. */
export async function positionsOf({ k, shape }: LayerOptions, { type, heads }: LayerCache): Promise<number[][]> {
  const { headDim } = shape
  const numbers = async (tensor: Tensor, at: number, n: number): Promise<number[]> =>
    n ? Array.from(await k.read({ shape: [n], type: 'u32', address: tensor.address + at, bytes: n * 4 })) : []
  const { before } = columns(tailType(type), headDim).at(-1)!
  const group = tileRows * rowBytes(type, headDim)
  // A group ends with its positions.
  const inBase = async ({ base, split }: Segment): Promise<number[]> => !base ? [] : !isPacked(type) ? numbers(base.tensor, before * base.capacity, split)
    : (await Promise.all(Array.from({ length: split / tileRows }, (_, i) => numbers(base.tensor, (i + 1) * group - 4 * tileRows, tileRows)))).flat()
  return Promise.all(heads.map(async s => [...await inBase(s), ...await numbers(s.tail, before * s.tailCapacity, s.count - s.split)]))
}
