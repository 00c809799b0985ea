import { boundBytes, layouts, packedBytes, rowBytes, rowTypes, segmentWords, strideOf, wholeTiles, type Kernels, type Layout, type RowType, type Tensor } from '../../src/kernels/index.ts'
import { wasm } from '../../src/wasm/index.ts'
import { normal, random } from '../../test/cases.ts'
import { interleave, roof, say, timesOf, type Load, type Options, type Shape } from '../harness.ts'
import { cache } from './attend.ts'

/** Shapes of the 135M model. */
const dim = 576, hiddenDim = 1536, vocabulary = 49152, heads = 9, kvHeads = 3, group = 3, headDim = 64
/** What one run walks through where memory is to bind: more than caches hold. */
const manyBytes = 48 << 20

type Row = (name: string, shape: Shape, registers: { tokens: number; position: number }, load: Load, body: () => void, extra?: Shape) => Promise<void>

/** Hot kernels against what the same engine gives at best. Exponentials, comparisons and unpacking count as nothing: they are the share that is lacking. */
export async function bench(options: Options): Promise<void> {
  if (!('roof ' + names.join(' roof ')).includes(options.only)) return
  say(options, '# share of the roof: the longest of memory, i16 and f32 multiply-adds, each alone at its ceiling, over the median')
  for (const part of [products, attention, scoring, ends]) {
    const k = await wasm()
    const row: Row = async (name, shape, registers, load, body, extra = {}) => {
      const program = k.record(body)
      const [times] = await interleave([() => k.run(program, registers)], { rounds: options.quick ? 3 : 15 })
      k.release(program)
      roof(options, `roof ${name}`, shape, timesOf(times!), load, extra)
    }
    await part(k, (name, ...rest) => `roof ${name}`.includes(options.only) ? row(name, ...rest) : Promise.resolve())
  }
}

const names = ['project', 'attend decode', 'attend prefill', 'pageScore', 'scoreWindow', 'embed', 'sample']

async function products(k: Kernels, row: Row): Promise<void> {
  const rows = hiddenDim, columns = dim, most = 256, next = random(1)
  const codes = k.tensor([most, columns], 'i16'), blocks = k.tensor([most, columns / 32, 4], 'f32'), values = k.tensor([most, columns], 'f32'), out = k.tensor([most, rows], 'f32')
  k.upload(codes, Int16Array.from({ length: most * columns }, () => Math.floor(next() * 65279) - 32639))
  k.upload(blocks, Float32Array.from({ length: most * columns / 8 }, () => next()))
  k.upload(values, Float32Array.from({ length: most * columns }, () => next() - 0.5))
  for (const [layout, tokenCounts] of [['Q4_1', [1, 64, 256]], ['Q8_0', [1, 64]], ['F16', [1, 64]]] as const) {
    const bytes = packedBytes(layout, rows, columns), copies = Math.ceil(manyBytes / bytes)
    const matrices = Array.from({ length: copies }, () => k.tensor([bytes], 'u8'))
    // Bytes of 60 make normal numbers in every float format.
    k.upload(matrices[0]!, Uint8Array.from({ length: bytes }, (_, i) => i % 2 ? 60 : Math.floor(next() * 256)))
    for (const matrix of matrices.slice(1)) k.copy(matrix, 0, matrices[0]!, 0, bytes)
    for (const tokens of tokenCounts) {
      // Many tokens share the weights they read: a few matrices take as long as is needed to be measured.
      const used = tokens === 1 ? matrices : matrices.slice(0, 4), n = used.length
      const macs = n * rows * columns * tokens, integer = layout !== 'F16'
      const activations = tokens * columns * (integer ? 2.5 : 4)
      await row('project', { layout, rows, columns, tokens }, { tokens, position: 0 },
        { read: n * (bytes + activations), written: n * tokens * rows * 4, i16: integer ? macs : 0, f32: integer ? 0 : macs },
        () => used.forEach(packed => k.project({ out, values, codes, blocks, packed, bias: null, layout: layouts[layout], rows, columns, residual: 0, exact: 0 })))
    }
    k.free(...matrices)
  }
}

async function attention(k: Kernels, row: Row): Promise<void> {
  const most = 256
  const query = k.tensor([most, heads, headDim], 'f32'), out = k.tensor([most, heads, headDim], 'f32')
  k.upload(query, normal(most * heads * headDim, 3))
  for (const [name, type, tokens, rows, layers] of [['attend decode', 'i16', 1, 7616, 16], ['attend decode', 'f32', 1, 7616, 8], ['attend prefill', 'i16', 256, 4096, 1], ['attend prefill', 'f32', 256, 4096, 1]] as const) {
    const caches: Tensor[] = []
    for (let l = 0; l < layers; l++) caches.push(await cache(k, { type, kvHeads, headDim, rows, tokens }))
    const macs = layers * heads * tokens * (rows + (tokens + 1) / 2) * 2 * headDim
    await row(name, { type, layers, kvHeads, group, headDim, rows, tokens }, { tokens, position: rows },
      { read: layers * kvHeads * (rows + tokens) * rowBytes(type, headDim), written: layers * tokens * heads * headDim * 4, i16: type === 'i16' ? macs : 0, f32: type === 'f32' ? macs : 0 },
      () => caches.forEach(segments => k.attend({ out, query, segments, rows: null, counts: null, sets: kvHeads, capacity: 0, heads, kvHeads, headDim, type: rowTypes[type], scale: headDim ** -0.5, partials: null })))
    await forget(k, caches)
  }
}

/** Gives back what `cache` took. */
async function forget(k: Kernels, caches: readonly Tensor[]): Promise<void> {
  for (const segments of caches) {
    const words = await k.read(segments)
    for (let h = 0; h < kvHeads; h++)
      for (const word of [4, 6]) {
        const address = words[h * segmentWords + word]!
        if (address) k.free({ shape: [], type: 'u8', address, bytes: 0 })
      }
    k.free(segments)
  }
}

/** Adds page bounds to a layer's rows. */
async function index(k: Kernels, segments: Tensor, type: RowType, pageSize: number, rows: number): Promise<void> {
  const pages = Math.ceil(wholeTiles(rows) / pageSize), words = await k.read(segments)
  for (let h = 0; h < kvHeads; h++) {
    words[h * segmentWords + 6] = k.tensor([boundBytes(type, headDim, pageSize, pages)], 'u8').address
    words[h * segmentWords + 7] = Math.ceil(pages / 64)
  }
  k.upload(segments, words)
  await k.once({ tokens: 0, position: rows }, () => k.bounds({ segments, kvHeads, headDim, type: rowTypes[type], pageSize, all: 1 }))
}

/** What methods score: pages of a cut cache while decoding, every key of a prompt by its last queries. */
async function scoring(k: Kernels, row: Row): Promise<void> {
  const type = 'i16', rows = 7616, tokens = 1, window = 32
  for (const [pageSize, count, layers] of [[1, 16, 16], [3, 30, 16]] as const) {
    const pages = Math.ceil((rows + tokens) / pageSize), stride = Math.ceil(wholeTiles(rows + tokens) / pageSize)
    const query = k.tensor([heads, headDim], 'f32'), channels = k.tensor([kvHeads, count], 'u32'), temperature = k.tensor([heads], 'f32'), out = k.tensor([heads, stride], 'f32')
    k.upload(query, normal(heads * headDim, 2))
    const caches: Tensor[] = []
    for (let l = 0; l < layers; l++) {
      const segments = await cache(k, { type, kvHeads, headDim, rows, tokens })
      await index(k, segments, type, pageSize, rows + tokens)
      caches.push(segments)
    }
    const shared = { query, heads, kvHeads, headDim, count, pageSize }
    await k.once({ tokens, position: rows }, () => k.chooseChannels({ ...shared, channels, temperature }))
    await row('pageScore', { type, layers, kvHeads, group, rows, pageSize, channels: count }, { tokens, position: rows },
      { read: layers * kvHeads * pages * (2 * count + 4), written: layers * heads * pages * 4, i16: layers * heads * pages * count, f32: 0 },
      () => caches.forEach(segments => k.pageScore({ ...shared, out, channels, segments, type: rowTypes[type], stride })))
    await forget(k, caches)
    k.free(query, channels, temperature, out)
  }
  const segments = await cache(k, { type, kvHeads, headDim, rows, tokens })
  const ring = k.tensor([window, heads, headDim], 'f32'), out = k.tensor([kvHeads, rows], 'f32')
  k.upload(ring, normal(window * heads * headDim, 4))
  await row('scoreWindow', { type, kvHeads, group, headDim, tokens: rows, window }, { tokens: 0, position: rows },
    { read: kvHeads * rows * (2 * strideOf(headDim) + 4), written: kvHeads * rows * 4, i16: heads * window * (rows - window / 2) * headDim, f32: 0 },
    () => k.scoreWindow({ out, ring, segments, sets: kvHeads, stride: rows, tokens: rows, heads, kvHeads, headDim, type: rowTypes[type], ringRows: window, window, scale: headDim ** -0.5 }))
}

/** The first and the last of a token: its embedding, its draw. */
async function ends(k: Kernels, row: Row): Promise<void> {
  const tokens = 256, next = random(5)
  for (const layout of ['Q4_1', 'Q8_0'] as const satisfies readonly Layout[]) {
    const packed = k.tensor([packedBytes(layout, vocabulary, dim)], 'u8'), ids = k.tensor([tokens], 'u32'), out = k.tensor([tokens, dim], 'f32')
    k.view(packed).fill(60)
    k.upload(ids, Uint32Array.from({ length: tokens }, () => Math.floor(next() * vocabulary)))
    // Groups of 8 rows lie together: a row is an eighth of what a group's lines hold, and of its own no less.
    await row('embed', { layout, dim, tokens }, { tokens, position: 0 },
      { read: tokens * packed.bytes / vocabulary, written: tokens * dim * 4, i16: 0, f32: tokens * dim },
      () => k.embed({ out, ids, packed, layout: layouts[layout], rows: vocabulary, dim, scale: 1 }))
    k.free(packed, ids, out)
  }
  const draws = Math.ceil(manyBytes / (4 * vocabulary))
  const logits = Array.from({ length: draws }, () => k.tensor([vocabulary], 'f32')), out = k.tensor([1], 'u32'), state = k.tensor([2], 'u32')
  k.upload(logits[0]!, normal(vocabulary, 6).map(x => 3 * x))
  for (const tensor of logits.slice(1)) k.copy(tensor, 0, logits[0]!, 0, tensor.bytes)
  for (const [draw, temperature, topK] of [['greedy', 0, 40], ['top-k 40, top-p 0.95', 0.8, 40], ['top-p 0.95 of all', 0.8, 0]] as const)
    await row('sample', { draw, vocabulary, draws }, { tokens: 1, position: 0 }, { read: draws * 4 * vocabulary, written: 0, i16: 0, f32: 0 },
      () => logits.forEach(tensor => k.sample({ out, logits: tensor, n: vocabulary, history: null, historyCount: null, state, temperature, topK, topP: 0.95, minP: 0.05, penalty: 1 })))
}
