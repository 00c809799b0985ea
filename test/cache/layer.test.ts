import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { advanced, createLayer, ensureIndex, ensureRoom, forkLayer, freeLayer, layerBytes, positionsOf, type LayerCache, type LayerOptions } from '../../src/cache/layer.ts'
import { rowBytes, rowTypes, type Kernels, type RowType } from '../../src/kernels/index.ts'
import { everywhere, part, tokensOf, type Tokens } from '../methods/bare.ts'

const sizes = { heads: 4, kvHeads: 2, headDim: 16 }
const { heads, kvHeads, headDim } = sizes
const scale = headDim ** -0.5
const given = tokensOf(600, sizes, 81)
const range = (from: number, to: number): number[] => Array.from({ length: to - from }, (_, i) => from + i)

const options = (k: Kernels, kv: RowType): LayerOptions => ({ k, kv, shape: { ...sizes, layers: 1, scale } })

/** Appends tokens, position by position as they are numbered from `position` on. */
async function append({ k, kv }: LayerOptions, layer: LayerCache, { n, keys, values, queries }: Tokens, position: number): Promise<void> {
  const from = k.tensor([n, kvHeads, headDim], 'f32'), to = k.tensor([n, kvHeads, headDim], 'f32'), query = k.tensor([n, heads, headDim], 'f32')
  k.upload(from, keys)
  k.upload(to, values)
  k.upload(query, queries)
  await k.once({ tokens: n, position }, () => {
    k.append({ segments: layer.table, keys: from, values: to, kvHeads, headDim, type: rowTypes[kv] })
    if (layer.ring) k.observe({ ring: layer.ring, query, heads, headDim, window: layer.ring.shape[0]! })
    k.advance({ segments: layer.table, kvHeads })
  })
  k.free(from, to, query)
  advanced(layer, n)
}

/** What reading every row gives: attention of one query that sees them all. */
async function attended({ k, kv }: LayerOptions, layer: LayerCache): Promise<number[]> {
  const query = k.tensor([1, heads, headDim], 'f32'), out = k.tensor([1, heads, headDim], 'f32')
  k.upload(query, given.queries.subarray(0, heads * headDim))
  const rows = k.tensor([kvHeads, 600], 'u32'), counts = k.tensor([kvHeads], 'u32')
  layer.heads.forEach((s, h) => {
    k.upload(rows, range(0, s.count), h * 600)
    k.upload(counts, [s.count], h)
  })
  await k.once({ tokens: 1, position: 0 }, () => k.attend({ out, query, segments: layer.table, rows, counts, sets: kvHeads, capacity: 600,
    heads, kvHeads, headDim, type: rowTypes[kv], scale, partials: null }))
  const got = [...await k.read(out)]
  k.free(query, out, rows, counts)
  return got
}

/** A layer of these tokens with room from the start. */
async function straight(o: LayerOptions, ...parts: readonly [Tokens, number][]): Promise<LayerCache> {
  const layer = createLayer(o, { rows: Array.from({ length: kvHeads }, () => 600), ring: 8 })
  for (const [t, position] of parts) await append(o, layer, t, position)
  return layer
}

async function same(o: LayerOptions, a: LayerCache, b: LayerCache, what: string): Promise<void> {
  assert.equal(await attended(o, a), await attended(o, b), `${what}: attention`)
  assert.equal(await positionsOf(o, a), await positionsOf(o, b), `${what}: positions`)
}

/** A body on every backend for both row types; it gives back all the memory it takes. */
const both = (body: (o: LayerOptions, what: string) => Promise<void>) => () => everywhere(async k => {
  for (const kv of ['f32', 'i16'] as RowType[]) {
    const o = options(k, kv), what = `${kv} on ${k.name}`
    // A first round leaves the backend's scratch memory as large as it will be.
    const first = await straight(o, [part(given, 0, 1), 0])
    await attended(o, first)
    freeLayer(o, first)
    const before = k.memory().used
    await body(o, what)
    assert.is(k.memory().used, before, `${what}: bytes that stayed`)
  }
})

test('rows survive growth, and go on', both(async (o, what) => {
  const layer = createLayer(o, { rows: [1, 1], ring: 8 })
  let seen = 0, moves = 0
  for (const n of [1, 63, 1, 64, 7, 200]) {
    if (ensureRoom(o, layer, n)) moves++
    await append(o, layer, part(given, seen, seen + n), 1000 + seen)
    seen += n
    const expected = await straight(o, [part(given, 0, seen), 1000])
    await same(o, layer, expected, `${what}, ${seen} rows`)
    freeLayer(o, expected)
  }
  assert.equal(await positionsOf(o, layer), [range(1000, 1000 + seen), range(1000, 1000 + seen)])
  assert.is(moves, 3, 'half as much again each time')
  freeLayer(o, layer)
}))

test('a fork shares whole tiles; what follows is its own', both(async (o, what) => {
  for (const rows of [1, 63, 64, 65, 150, 256]) {
    const base = await straight(o, [part(given, 0, rows), 0])
    const before = o.k.memory().used
    const fork = forkLayer(o, base, 10)
    const split = Math.floor(rows / 64) * 64
    for (const [h, s] of fork.heads.entries()) {
      assert.equal([s.count, s.split], [rows, split])
      assert.is(s.base!.tensor, base.heads[h]!.tail)
      assert.is(s.tail.bytes, Math.ceil((rows - split + 10) / 64) * 64 * rowBytes(o.kv, headDim))
    }
    assert.ok(o.k.memory().used - before < 2 * 128 * rowBytes(o.kv, headDim) + 8192, 'the tail, the table, the ring')
    assert.is(layerBytes(o, fork), fork.heads.reduce((sum, s) => sum + split * rowBytes(o.kv, headDim) + s.tail.bytes, 0))
    await same(o, fork, base, `${what}, ${rows} rows`)
    // Each goes its own way.
    await append(o, fork, part(given, 300, 310), rows)
    await append(o, base, part(given, 400, 420), rows)
    const first = await straight(o, [part(given, 0, rows), 0], [part(given, 300, 310), rows])
    const second = await straight(o, [part(given, 0, rows), 0], [part(given, 400, 420), rows])
    await same(o, fork, first, `${what}, ${rows} rows, fork`)
    await same(o, base, second, `${what}, ${rows} rows, base`)
    assert.equal([...await o.k.read(fork.ring!)], [...await o.k.read(first.ring!)])
    // And a fork grows like any other.
    assert.ok(ensureRoom(o, fork, 100))
    await append(o, fork, part(given, 310, 410), rows + 10)
    const grown = await straight(o, [part(given, 0, rows), 0], [part(given, 300, 410), rows])
    await same(o, fork, grown, `${what}, ${rows} rows, grown`)
    for (const layer of [fork, base, first, second, grown]) freeLayer(o, layer)
  }
}))

test('a fork may start earlier, and a fork of a fork shares the same tiles', both(async (o, what) => {
  const base = await straight(o, [part(given, 0, 200), 0])
  const fork = forkLayer(o, base, 50, 130)
  assert.equal(fork.heads.map(s => [s.count, s.split]), [[130, 128], [130, 128]])
  await append(o, fork, part(given, 300, 350), 130)
  const again = forkLayer(o, fork, 5, 140)
  assert.is(again.heads[0]!.base!.tensor, base.heads[0]!.tail)
  assert.is(again.heads[0]!.split, 128)
  const expected = await straight(o, [part(given, 0, 130), 0], [part(given, 300, 310), 130])
  await same(o, again, expected, what)
  assert.throws(() => forkLayer(o, fork, 5, 127), /fork: rows must be at least the 128 that are shared already, got 127/)
  for (const layer of [base, fork, again, expected]) freeLayer(o, layer)
}))

test('page bounds and sums come when they are asked for, and once', both(async o => {
  const layer = await straight(o, [part(given, 0, 100), 0])
  const plain = layerBytes(o, layer)
  assert.not(ensureIndex(o, layer, 0, false))
  assert.ok(ensureIndex(o, layer, 2, true))
  assert.not(ensureIndex(o, layer, 2, true))
  assert.ok(layerBytes(o, layer) > plain)
  assert.ok(ensureIndex(o, layer, 0, true))
  assert.is(layerBytes(o, layer), plain + 4 * kvHeads * headDim)
  assert.ok(ensureIndex(o, layer, 3, true))
  const small = layer.heads[0]!.bounds!.bytes
  assert.ok(ensureRoom(o, layer, 1000))
  assert.ok(layer.heads[0]!.bounds!.bytes > small, 'bounds for the pages to come')
  freeLayer(o, layer)
}))

test.run()
