import { chunkRows, isPacked, partialShape, readType, rowTypes, whole, type Kernels, type RowType, type Tensor } from '../kernels/index.ts'
import { compressLayer, indexLayer, layerView, storeLayer, workspace } from './compress.ts'
import { advanced, copyLayer, createLayer, ensureIndex, ensureRoom, forkLayer, freeLayer, layerBytes, mostCount, mostRows, packed, packLayer, positionsOf, writeTable, type LayerCache, type LayerOptions } from './layer.ts'
import type { Ledger } from './ledger.ts'
import { fullBytes, keptAt, planFor, type Planned } from './plan.ts'
import type { Policy, Rows } from './policy.ts'
import { leftBehind, slides, sliding, slidingRoom } from './slide.ts'

export interface CacheOptions extends LayerOptions {
  readonly policy: Policy
  readonly budget: number
  /** Answer tokens that are expected: the planner's N, and the room that is made at first. */
  readonly answer: number
}

/**
 * One sequence's keys and values under a policy: filled layer by layer by a prefill (`begin`, `enter`, `leave`, `end`) or from
 * rows that were read before (`adopt`), then read and grown token by token by a recorded program (`attend`, `advance`). Counts every byte.
 */
export interface Cache {
  readonly policy: Policy
  plan(): Planned
  /** Tokens that were appended: the next one's position. */
  seen(): number
  /** Before `tokens` more are read: plans. answer: expected after them, as before unless given. */
  begin(tokens: number, answer?: number): void
  /** The rows of a layer that the prefill appends to. rows: fewer than `tokens` where not all of them reach the layer. */
  enter(index: number, rows?: number): LayerCache
  /** The layer's new rows are all there (and its table advanced): cuts it if the plan says so. */
  leave(index: number, rows?: number): Promise<void>
  /** After the last layer. */
  end(): Promise<void>
  /** Starts from the rows of a reading and its question instead of a prefill; they stay as they are. */
  adopt(layers: readonly LayerCache[]): Promise<void>
  /** Makes room for one more token; true where programs must be recorded again. */
  room(): Promise<boolean>
  /** Records one decode step of a layer: stores the token's key and value, reads what the policy chooses. */
  attend(index: number, step: { readonly query: Tensor; readonly keys: Tensor; readonly values: Tensor; readonly out: Tensor }): void
  /** Records the end of a step: what was appended counts. */
  advance(): void
  /** After a step has run; cuts again where the policy does so while decoding, then true: programs must be recorded again. */
  stepped(): Promise<boolean>
  /** After a step that was broken off: what it stored counts nowhere. */
  undo(): Promise<void>
  ledger(): Promise<Ledger>
  /** Rows that the last layer that chooses chose in the last step, per set; null where none does. */
  chosen(): Promise<number[][] | null>
  /** Positions of the rows that decoding can read: [layers][kvHeads][·], ascending. */
  kept(): Promise<number[][][]>
  /** A cache of its own that goes on from here; not while a prompt is being read. */
  fork(): Cache
  free(): void
}

/** Where a fork starts. */
interface Start {
  readonly held: (LayerCache | undefined)[]
  readonly active: (LayerCache | undefined)[]
  readonly planned: Planned
  readonly answer: number
  readonly seen: number
  readonly asked: number
  readonly steps: number
  readonly afterPrefill: Ledger['afterPrefill']
}

const mean = (numbers: readonly number[]): number => numbers.reduce((a, b) => a + b, 0) / numbers.length

export function createCache(o: CacheOptions, start?: Start): Cache {
  const { k, policy, shape, kv, budget } = o
  const cutting = workspace(k), decoding = workspace(k)
  const window = policy.score?.window ?? 0
  const every = Array.from({ length: shape.layers }, (_, index) => index)
  /** Newest tokens that a layer's queries see; 0: all. */
  const windowOf = (at: number): number => shape.windows?.[at] ?? 0
  /** What is held; under a policy with a history, all of it. */
  const held: (LayerCache | undefined)[] = start?.held ?? every.map(() => undefined)
  /** What decoding reads, where that is not what is held. */
  const active: (LayerCache | undefined)[] = start?.active ?? every.map(() => undefined)
  /** One layer's rows while it is read in; the next layer writes over them. */
  let passing: LayerCache | undefined
  let answer = start?.answer ?? o.answer
  let planned: Planned = start?.planned ?? planFor({ policy, shape, kv, budget, tokens: 0, answer })
  /** asked: tokens seen when the last prompt is all there. */
  let seen = start?.seen ?? 0, asked = start?.asked ?? 0, steps = start?.steps ?? 0, fresh = 0, peak = 0, cuts = false
  /** Rows that the layer before got of the prompt that is being read. */
  let before = 0
  let state = new Map<string, unknown>()
  let chosen: Rows | null = null
  /** Layers whose last recorded step reads chosen rows, and how many they are. */
  const choosing = new Map<number, Rows>()
  let afterPrefill = start?.afterPrefill ?? { tokensHeld: 0, kvBytes: 0 }

  const all = (): LayerCache[] => [...held, ...active, passing].filter(layer => layer !== undefined)
  const bytes = (): number => all().reduce((sum, layer) => sum + layerBytes(o, layer), 0)
  const note = (): void => { peak = Math.max(peak, bytes()) }
  note()
  const readFrom = (index: number): LayerCache => {
    const layer = active[index] ?? held[index]
    if (!layer) throw new TypeError(`layer ${index}: a prompt must be read first, got none`)
    return layer
  }
  const view = (index: number) =>
    layerView(shape, { policy, plan: planned, index, source: readFrom(index), seen, window, work: decoding, state })

  /** Where chunks of attention over all rows go, so that threads share one head's; null where a head has one chunk. As large for every layer, so that it stays where it is. */
  function chunks(): Tensor | null {
    const rows = Math.max(0, ...every.filter(at => !windowOf(at)).map(at => mostRows(readFrom(at))))
    return rows > chunkRows ? decoding.temporary('chunks', partialShape(rows, shape.heads, shape.headDim), 'f32') : null
  }

  function setPlan(total: number): void {
    const packed = held.find(layer => layer && isPacked(layer.type))?.type
    // Rows that were packed stay so.
    planned = { ...planFor({ policy, shape, kv, budget, tokens: total, answer }), ...packed && { kv: packed } }
  }

  /** How rows are held, of layers that do not slide. */
  const stored = (): LayerOptions => ({ k, shape, kv: planned.kv })

  /** Rows of a layer under the policy. RocketKV-MT votes with this turn's queries alone (methods-core B6), the others with the last ones. */
  const cut = (index: number, source: LayerCache): Promise<LayerCache> => compressLayer(stored(),
    { policy, plan: planned, index, source, seen, window: Math.min(window, policy.history ? fresh : seen), work: cutting, state })

  /** The rows of a layer that its window still sees. They are few: they stay as they were read, whatever kv says. */
  async function slide(index: number, source: LayerCache): Promise<LayerCache> {
    const own = sliding(windowOf(index)), tokens = source.heads[0]!.count
    const plan = { ...planned, ...own.plan({ tokens, answer, budget, shape }) }
    const kept = await compressLayer({ ...o, kv: readType(kv) }, { policy: own, plan, index, source, seen, window: 0, work: cutting, state })
    kept.dropped = source.dropped + tokens - plan.kept
    return kept
  }

  /** Page bounds and sums, where decoding wants them, of a layer that was not cut. */
  async function index(layer: LayerCache): Promise<void> {
    if (planned.dense) return
    ensureIndex(o, layer, planned.pageSize, policy.decode.sums)
    await k.once({ tokens: 0, position: seen }, () => indexLayer(o, planned, layer))
  }

  /** Whether a layer that has so many rows with the prompt's is cut. */
  const cutsAt = (at: number, rows: number): boolean => cuts && rows > keptAt(planned, at)
  /** The least that a layer keeps. */
  const least = (): number => Math.min(...every.map(at => keptAt(planned, at)))

  /** A layer that holds all it was given, as kv says. */
  async function store(at: number, source: LayerCache): Promise<LayerCache> {
    if (held[at]?.type === planned.kv) {
      await packLayer(o, source)
      return source
    }
    replace(held, at, await storeLayer(stored(), source, { more: answer, ring: window, seen }))
    return held[at]!
  }

  function replace(of: (LayerCache | undefined)[], at: number, layer: LayerCache): void {
    peak = Math.max(peak, bytes() + layerBytes(o, layer))
    freeLayer(o, of[at])
    of[at] = layer
  }

  async function finish(): Promise<void> {
    freeLayer(o, passing)
    passing = undefined
    cutting.free()
    chosen = null
    choosing.clear()
    note()
    afterPrefill = { tokensHeld: tokensHeld(), kvBytes: bytes() }
    steps = 0
  }

  function tokensHeld(): number {
    const counts = held.flatMap(layer => layer ? layer.heads.map(s => s.count) : [])
    return counts.reduce((a, b) => a + b, 0) / Math.max(1, counts.length)
  }

  return {
    policy,
    plan: () => planned,
    seen: () => seen,
    begin(tokens, expected = answer) {
      fresh = before = tokens
      answer = expected
      asked = seen + tokens
      state = new Map()
      const rows = Math.max(0, ...held.map((layer, at) => windowOf(at) ? 0 : layer ? mostCount(layer) : 0)) + tokens
      // A cut cache keeps its plan: the next turn is cut back to it (methods-core B6). One that holds everything plans anew.
      if (seen === 0 || planned.dense || policy.history || !policy.evicts) setPlan(rows)
      cuts = policy.evicts && !planned.dense && rows > least()
    },
    enter(at, rows = fresh) {
      let layer = held[at]
      const sees = windowOf(at), room = sees ? slidingRoom(answer) : answer, all = (layer ? mostCount(layer) : 0) + rows
      const cut = sees ? leftBehind(all, sees) > 0 : cutsAt(at, all) && !policy.history
      if (layer) ensureRoom(o, layer, rows, cut ? 0 : room)
      else if (cut || !sees && isPacked(planned.kv)) {
        passing ??= createLayer(o, { rows: rowsEach(fresh), ring: window, type: readType(kv) })
        for (const s of passing.heads) s.count = 0
        writeTable(o, passing)
        layer = passing
      } else layer = held[at] = createLayer(o, { rows: rowsEach(rows + room), ring: window, type: readType(kv) })
      note()
      return layer
    },
    async leave(at, rows = fresh) {
      const source = held[at] ?? passing!
      advanced(source, rows)
      if (at === 0) seen += fresh
      // Rows that were chosen among more mean others here.
      if (rows !== before) state = new Map()
      before = rows
      if (windowOf(at)) {
        if (leftBehind(source.heads[0]!.count, windowOf(at))) replace(held, at, await slide(at, source))
      } else if (!cutsAt(at, mostCount(source))) {
        freeLayer(o, active[at])
        active[at] = undefined
        await index(await store(at, source))
      } else if (policy.history) {
        // A turn that fitted read the history itself; from here on its page bounds serve nobody.
        ensureIndex(o, source, 0, false)
        replace(active, at, await cut(at, source))
        await store(at, source)
      } else replace(held, at, await cut(at, source))
      note()
    },
    end: finish,
    async adopt(layers) {
      fresh = asked = seen = layers[0]!.heads[0]!.count
      state = new Map()
      setPlan(seen)
      cuts = policy.evicts && !planned.dense && seen > least()
      for (const [at, source] of layers.entries()) {
        if (windowOf(at)) {
          held[at] = leftBehind(seen, windowOf(at)) ? await slide(at, source) : forkLayer(o, source, slidingRoom(answer))
          continue
        }
        const cutHere = cutsAt(at, seen)
        if (cutHere) (policy.history ? active : held)[at] = await cut(at, source)
        if (cutHere && !policy.history) continue
        const layer = held[at] = isPacked(planned.kv) ? await storeLayer(stored(), source, { more: answer, ring: window, seen }) : forkLayer(o, source, answer)
        if (!cutHere) await index(layer)
      }
      await finish()
    },
    async room() {
      let moved = false
      for (const at of every)
        for (const layer of new Set([held[at]!, readFrom(at)])) {
          if (!ensureRoom(o, layer, 1)) continue
          moved = true
          if (layer === readFrom(at) && !windowOf(at)) await index(layer)
        }
      if (!moved) return false
      // Programs are recorded again, with places for the rows of now.
      decoding.free()
      chosen = null
      choosing.clear()
      note()
      return true
    },
    attend(at, { query, keys, values, out }) {
      const { heads, kvHeads, headDim, scale, cap = 0 } = shape
      const layer = readFrom(at), type = rowTypes[layer.type], sees = windowOf(at)
      for (const to of new Set([held[at]!, layer])) {
        k.append({ segments: to.table, keys, values, kvHeads, headDim, type: rowTypes[to.type] })
        if (to.ring) k.observe({ ring: to.ring, query, heads, headDim, window: to.ring.shape[0]! })
      }
      let rows: Rows | null = null
      if (!planned.dense && !sees) {
        if (layer.pageSize) k.bounds({ segments: layer.table, kvHeads, headDim, type, pageSize: layer.pageSize, all: 0 })
        if (layer.sums) k.sumValues({ sums: layer.sums, segments: layer.table, kvHeads, headDim, type, all: 0 })
        rows = policy.decode.record(k, query, view(at))
      }
      const partials = rows || sees ? null : chunks()
      k.attend({ out, query, segments: layer.table, rows: rows?.rows ?? null, counts: rows?.counts ?? null,
        sets: rows?.sets ?? kvHeads, capacity: rows?.capacity ?? 0, heads, kvHeads, headDim, type, scale, partials, cap, window: sees, before: layer.dropped })
      if (partials) k.mergeChunks({ out, partials, segments: layer.table, heads, kvHeads, headDim })
      if (rows && policy.decode.finish) policy.decode.finish(k, out, rows, view(at))
      if (rows) {
        chosen = rows
        choosing.set(at, rows)
      } else choosing.delete(at)
    },
    advance() {
      const { kvHeads, headDim } = shape
      for (const { table, type } of all()) {
        k.advance({ segments: table, kvHeads })
        if (isPacked(type)) k.pack({ segments: table, kvHeads, headDim, type: rowTypes[type] })
      }
    },
    async stepped() {
      for (const at of every)
        for (const layer of new Set([held[at]!, readFrom(at)])) {
          advanced(layer, 1)
          if (packed(layer) && layer === readFrom(at)) await index(layer)
        }
      seen++
      steps++
      const slid = every.filter(at => slides(held[at]!.heads[0]!.count, windowOf(at)))
      for (const at of slid) replace(held, at, await slide(at, held[at]!))
      if (slid.length) cutting.free()
      if (!policy.evicts || planned.dense || !policy.when(steps)) return slid.length > 0
      state = new Map()
      let moved = slid.length > 0
      for (const at of every) {
        const source = held[at]!
        if (windowOf(at) || mostCount(source) <= keptAt(planned, at)) continue
        replace(held, at, await cut(at, source))
        moved = true
      }
      cutting.free()
      return moved
    },
    async undo() {
      for (const layer of all()) writeTable(o, layer)
      // Page bounds are built again from their rows at the next step; sums have the token's values in them already.
      if (policy.decode.sums) for (const at of every) if (!windowOf(at)) await index(readFrom(at))
    },
    async ledger() {
      const { bytes: memoryBytes, peak: memoryBytesPeak } = k.memory()
      const read = await Promise.all(every.map(async at => {
        const rows = choosing.get(at)
        return rows ? mean(Array.from(await k.read(rows.counts, 0, rows.sets))) : held[at] ? Math.min(windowOf(at) || Infinity, mean(readFrom(at).heads.map(s => s.count))) : 0
      }))
      return {
        tokensSeen: seen, tokensHeld: tokensHeld(), kvBytes: bytes(), kvBytesFull: fullBytes(shape, kv, Math.max(asked, seen - answer), answer),
        kvBytesPeak: peak, rowsReadPerStep: mean(read),
        memoryBytes, memoryBytesPeak, afterPrefill, dense: planned.fellBack,
      }
    },
    async chosen() {
      if (!chosen) return null
      const { rows, counts, sets, capacity } = chosen
      const n = await k.read(counts, 0, sets)
      return Promise.all(Array.from({ length: sets }, async (_, s) => Array.from(await k.read(rows, s * capacity, n[s]!))))
    },
    kept: () => Promise.all(every.map(at => positionsOf(o, readFrom(at)))),
    fork() {
      if (passing) throw new TypeError('fork: the prompt must have been read, got one that is being read')
      const copies = (k: Kernels, of: (LayerCache | undefined)[]): (LayerCache | undefined)[] => of.map(layer => layer && copyLayer({ ...o, k }, layer))
      return whole(k, taking => createCache(o, { held: copies(taking, held), active: copies(taking, active), planned, answer, seen, asked, steps, afterPrefill }))
    },
    free() {
      for (const layer of all()) freeLayer(o, layer)
      held.fill(undefined)
      active.fill(undefined)
      passing = undefined
      cutting.free()
      decoding.free()
    },
  }

  function rowsEach(rows: number): number[] {
    return Array.from({ length: shape.kvHeads }, () => rows)
  }
}
