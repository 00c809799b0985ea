import { rowBytes, rowTypes, segmentWords, type Kernels, type Tensor } from '../../src/kernels/index.ts'
import { wasm } from '../../src/wasm/index.ts'
import { normal } from '../../test/cases.ts'
import { interleave, report, timesOf, type Options } from '../harness.ts'

interface Shape { name: string; type: 'f32' | 'i16'; layers: number; kvHeads: number; group: number; headDim: number; rows: number; tokens: number; listed?: number }

const decode = { layers: 30, kvHeads: 3, group: 3, headDim: 64, tokens: 1 } as const
const shapes: Shape[] = [
  { name: 'decode, all rows', type: 'i16', ...decode, rows: 7616 },
  { name: 'decode, all rows', type: 'f32', ...decode, rows: 7616 },
  { name: 'decode, 128 rows held', type: 'i16', ...decode, rows: 128 },
  { name: 'decode, 128 rows listed', type: 'i16', ...decode, rows: 7616, listed: 128 },
  { name: 'prefill', type: 'i16', layers: 1, kvHeads: 3, group: 3, headDim: 64, rows: 4096, tokens: 256 },
  { name: 'prefill', type: 'f32', layers: 1, kvHeads: 3, group: 3, headDim: 64, rows: 4096, tokens: 256 },
  { name: 'prefill', type: 'i16', layers: 1, kvHeads: 3, group: 3, headDim: 64, rows: 0, tokens: 256 },
  { name: 'prefill', type: 'i16', layers: 1, kvHeads: 2, group: 6, headDim: 128, rows: 4096, tokens: 256 },
]

/** Rows [rows + tokens] of one layer; every KV head holds the same numbers. */
export async function cache(k: Kernels, { type, kvHeads, headDim, rows, tokens }: Pick<Shape, 'type' | 'kvHeads' | 'headDim' | 'rows' | 'tokens'>): Promise<Tensor> {
  const capacity = Math.ceil((rows + tokens) / 64) * 64
  const segments = k.tensor([kvHeads, segmentWords], 'u32')
  k.upload(segments, Array.from({ length: kvHeads }, () => [0, 0, 0, 0, k.tensor([rowBytes(type, headDim) * capacity], 'u8').address, capacity, 0, 0]).flat())
  const step = 256, n = step * kvHeads * headDim
  const keys = k.tensor([n], 'f32'), values = k.tensor([n], 'f32')
  k.upload(keys, normal(n, 1))
  k.upload(values, normal(n, 2))
  for (let at = 0; at < rows; at += step)
    await k.once({ tokens: Math.min(step, rows - at), position: at }, () => {
      k.append({ segments, keys, values, kvHeads, headDim, type: rowTypes[type] })
      k.advance({ segments, kvHeads })
    })
  await k.once({ tokens, position: rows }, () => k.append({ segments, keys, values, kvHeads, headDim, type: rowTypes[type] }))
  k.free(keys, values)
  return segments
}

async function run(options: Options, shape: Shape): Promise<void> {
  const { name, type, layers, kvHeads, group, headDim, rows, tokens, listed } = shape
  const k = await wasm(), heads = kvHeads * group
  const query = k.tensor([tokens, heads, headDim], 'f32'), out = k.tensor([tokens, heads, headDim], 'f32')
  k.upload(query, normal(tokens * heads * headDim, 3))
  const list = listed ? k.tensor([kvHeads, listed], 'u32') : null, counts = listed ? k.tensor([kvHeads], 'u32') : null
  if (listed) {
    k.upload(list!, Array.from({ length: kvHeads * listed }, (_, i) => Math.floor(i % listed * rows / listed)))
    k.upload(counts!, Array(kvHeads).fill(listed))
  }
  const caches: Tensor[] = []
  for (let l = 0; l < layers; l++) caches.push(await cache(k, shape))
  const program = k.record(() => caches.forEach(segments => k.attend({ out, query, segments, rows: list, counts, sets: kvHeads, capacity: listed ?? 0,
    heads, kvHeads, headDim, type: rowTypes[type], scale: headDim ** -0.5, partials: null })))
  const [times] = await interleave([() => k.run(program, { tokens, position: rows })], { rounds: options.quick ? 3 : 9 })
  const read = listed ?? rows + (tokens + 1) / 2
  const work = tokens === 1 ? { unit: 'GB/s', amount: layers * kvHeads * (listed ?? rows + tokens) * rowBytes(type, headDim) } as const
    : { unit: 'GMAC/s', amount: layers * heads * tokens * read * 2 * headDim, type } as const
  report(options, name, { type, layers, kvHeads, group, headDim, rows, tokens }, timesOf(times!), work)
}

/** Attention by shape. Of one token the bytes of the rows count, of many the multiply-adds of scores and weighted values together. */
export async function bench(options: Options): Promise<void> {
  for (const shape of shapes) if (`attend ${shape.name}`.includes(options.only)) await run(options, { ...shape, name: `attend ${shape.name}` })
}
