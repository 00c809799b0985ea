import { rowTypes, type Kernels, type Tensor } from '../kernels/index.ts'
import { createLayer, ensureIndex, freeLayer, mostCount, setCounts, type LayerCache, type LayerOptions } from './layer.ts'
import type { Planned } from './plan.ts'
import type { Layer, Plan, Policy, Rows, Shape } from './policy.ts'

/** Places for numbers in between, shared by the layers: one a name, as large as it was ever asked for. */
export interface Workspace {
  readonly temporary: Layer['temporary']
  free(): void
}

export function workspace(k: Kernels): Workspace {
  const places = new Map<string, Tensor>()
  /** Places that became too small: what was recorded before still uses them. */
  const outgrown: Tensor[] = []
  return {
    temporary(name, shape, type) {
      const place = places.get(name)
      if (place && place.type === type && place.shape.length === shape.length && place.shape.every((d, i) => d === shape[i])) return place
      const fresh = k.tensor(shape, type)
      if (place && fresh.bytes <= place.bytes) {
        // A smaller shape in the same place keeps addresses that a program has recorded.
        k.free(fresh)
        const view = { ...fresh, address: place.address, bytes: place.bytes }
        places.set(name, view)
        return view
      }
      if (place) outgrown.push(place)
      places.set(name, fresh)
      return fresh
    },
    free() {
      k.free(...places.values(), ...outgrown.splice(0))
      places.clear()
    },
  }
}

interface Cut {
  readonly policy: Policy
  readonly plan: Planned
  readonly index: number
  /** Where the rows are. */
  readonly source: LayerCache
  /** Tokens seen so far. */
  readonly seen: number
  /** Queries of the observation window. */
  readonly window: number
  readonly work: Workspace
  readonly state: Map<string, unknown>
}

/** The view of one layer that stages record against. */
export const layerView = (shape: Shape, { policy, plan, index, source, seen, window, work, state }: Pick<Cut, 'policy' | 'plan' | 'index' | 'source' | 'seen' | 'window' | 'work' | 'state'>): Layer => ({
  index, shape, kv: source.type, plan, tokens: mostCount(source), seen, window: Math.min(window, policy.score?.window ?? 0),
  cache: source, temporary: work.temporary, state,
})

/**
 * The rows of one layer that a policy keeps, in a cache of their own; score → pool → allocate → select → gather. The source stays
 * as it was. It depends on rows, saved queries and numbers alone, so it gives the same bits whenever it is called.
 */
export async function compressLayer(o: LayerOptions, cut: Cut): Promise<LayerCache> {
  const { k, shape } = o
  const { policy, plan, source, seen } = cut
  const layer = layerView(shape, cut)
  const registers = { tokens: 0, position: seen }
  const counts = policy.allocate(layer)
  let rows: ReturnType<Policy['select']> | undefined
  await k.once(registers, () => {
    const scores = policy.score ? policy.pool(k, policy.score.record(k, layer), layer) : null
    rows = policy.select(k, scores, counts, layer)
  })
  if (!rows) throw new TypeError(`${policy.name}: select must give rows, got none`)
  const chosen = rows
  const got = Array.from(await k.read(chosen.counts, 0, chosen.sets))
  const kept = createLayer(o, {
    rows: Array.from({ length: shape.kvHeads }, (_, h) => got[got.length === 1 ? 0 : h]! + plan.reserve),
    ring: policy.score?.window ?? 0,
  })
  try {
    ensureIndex(o, kept, plan.pageSize, policy.decode.sums)
    await k.once(registers, () => {
      move(o, kept, source, chosen)
      indexLayer(o, plan, kept)
    })
  } catch (error) {
    freeLayer(o, kept)
    throw error
  }
  setCounts(kept, got)
  if (kept.ring && source.ring) copyRing(k, kept.ring, source.ring, seen)
  return kept
}

/** All rows of a layer in a cache of their own of type o.kv, with room for more. seen: tokens so far; ring: queries to remember. */
export async function storeLayer(o: LayerOptions, source: LayerCache, { more, ring, seen }: { more: number; ring: number; seen: number }): Promise<LayerCache> {
  const counts = source.heads.map(s => s.count)
  const stored = createLayer(o, { rows: counts.map(n => n + more), ring })
  try {
    await o.k.once({ tokens: 0, position: seen }, () => move(o, stored, source, null))
  } catch (error) {
    freeLayer(o, stored)
    throw error
  }
  setCounts(stored, counts)
  if (stored.ring && source.ring) copyRing(o.k, stored.ring, source.ring, seen)
  return stored
}

/** Records the copying of rows, all of them where none are chosen. */
function move({ k, shape: { kvHeads, headDim } }: LayerOptions, to: LayerCache, from: LayerCache, chosen: Rows | null): void {
  k.gather({ to: to.table, from: from.table, rows: chosen?.rows ?? null, counts: chosen?.counts ?? null, sets: chosen?.sets ?? kvHeads, capacity: chosen?.capacity ?? 0,
    kvHeads, headDim, type: rowTypes[to.type], fromType: rowTypes[from.type] })
}

/** Records what decoding wants beside the rows: page bounds, the sum of values. All of it afresh. */
export function indexLayer({ k, shape }: LayerOptions, plan: Plan, layer: LayerCache): void {
  const { kvHeads, headDim } = shape
  const type = rowTypes[layer.type]
  if (plan.pageSize) k.bounds({ segments: layer.table, kvHeads, headDim, type, pageSize: plan.pageSize, all: 1 })
  if (layer.sums) k.sumValues({ sums: layer.sums, segments: layer.table, kvHeads, headDim, type, all: 1 })
}

/** The newest queries of one ring into another of its own length; row = position modulo length in both. */
export function copyRing(k: Kernels, to: Tensor, from: Tensor, seen: number): void {
  const rows = to.shape[0]!, many = from.shape[0]!, bytes = to.bytes / rows
  for (let at = Math.max(0, seen - Math.min(rows, many)); at < seen; at++) k.copy(to, at % rows * bytes, from, at % many * bytes, bytes)
}
