import { boundBytes, rowBytes, rowTypes, segmentWords, wholeTiles, type Kernels, type Registers, type RowType, type Tensor } from '../../src/kernels/index.ts'
import { wasm } from '../../src/wasm/index.ts'
import { normal } from '../../test/cases.ts'
import { interleave, report, timesOf, type Options, type Shape } from '../harness.ts'

const rounds = 31
const layers = 30, kvHeads = 3, heads = 9, headDim = 64, held = 1500, pageSize = 3, count = 30, budget = 128

/** One layer's rows and their bounds, one row appended and not yet part of it. */
async function cache(k: Kernels, type: RowType): Promise<Tensor> {
  const capacity = wholeTiles(held + 1), pages = Math.ceil(capacity / pageSize)
  const segments = k.tensor([kvHeads, segmentWords], 'u32')
  k.upload(segments, Array.from({ length: kvHeads }, () => [0, 0, 0, 0, k.tensor([rowBytes(type, headDim) * capacity], 'u8').address, capacity,
    k.tensor([boundBytes(type, headDim, pageSize, pages)], 'u8').address, Math.ceil(pages / 64)]).flat())
  const shape = [held + 1, kvHeads, headDim], keys = k.tensor(shape, 'f32')
  k.upload(keys, normal((held + 1) * kvHeads * headDim, 1))
  await k.once({ tokens: held + 1, position: 0 }, () => k.append({ segments, keys, values: keys, kvHeads, headDim, type: rowTypes[type] }))
  await k.once({ tokens: held, position: 0 }, () => {
    k.bounds({ segments, kvHeads, headDim, type: rowTypes[type], pageSize, all: 1 })
    k.advance({ segments, kvHeads })
  })
  k.free(keys)
  return segments
}

/** A program's rows of results, if they are wanted. */
const timer = (options: Options, k: Kernels) => async (name: string, shape: Shape, registers: Registers, body: () => void): Promise<void> => {
  if (!name.includes(options.only)) return
  const program = k.record(body)
  const [times] = await interleave([() => k.run(program, registers)], { rounds: options.quick ? 5 : rounds, warmUp: 3 })
  k.release(program)
  report(options, name, shape, timesOf(times!), null)
}

/** What one decode step adds over all layers. */
async function decode(options: Options, type: RowType): Promise<void> {
  const k = await wasm(), time = timer(options, k), stride = Math.ceil(wholeTiles(held + 1) / pageSize)
  const query = k.tensor([heads, headDim], 'f32'), channels = k.tensor([kvHeads, count], 'u32'), temperature = k.tensor([heads], 'f32')
  const scores = k.tensor([heads, stride], 'f32'), weights = k.tensor([kvHeads, stride], 'f32')
  const rows = k.tensor([kvHeads, budget], 'u32'), counts = k.tensor([kvHeads], 'u32')
  k.upload(query, normal(heads * headDim, 2))
  const caches: Tensor[] = []
  for (let l = 0; l < layers; l++) caches.push(await cache(k, type))
  const shared = { query, heads, kvHeads, headDim, count, pageSize }
  const steps: Record<string, (segments: Tensor) => void> = {
    bounds: segments => k.bounds({ segments, kvHeads, headDim, type: rowTypes[type], pageSize, all: 0 }),
    chooseChannels: () => k.chooseChannels({ ...shared, channels, temperature }),
    pageScore: segments => k.pageScore({ ...shared, out: scores, channels, segments, type: rowTypes[type], stride }),
    pageWeights: segments => k.pageWeights({ out: weights, scores, temperature, segments, heads, kvHeads, pageSize, stride }),
    topPages: segments => k.topPages({ rows, counts, weights, segments, sets: kvHeads, kvHeads, pageSize, stride, tokens: budget, first: 0, last: 0, newest: 0, capacity: budget }),
    questScore: segments => k.questScore({ out: scores, query, segments, sets: heads, heads, kvHeads, headDim, type: rowTypes[type], pageSize, stride }),
  }
  const shape = { type, layers, kvHeads, rows: held, pageSize, budget }, registers = { tokens: 1, position: held }
  await time('hsa step', shape, registers, () => caches.forEach(segments => Object.entries(steps).forEach(([name, step]) => name === 'questScore' || step(segments))))
  for (const [name, step] of Object.entries(steps)) await time(name, shape, registers, () => caches.forEach(step))
  await time('bounds of all pages', shape, registers, () =>
    caches.forEach(segments => k.bounds({ segments, kvHeads, headDim, type: rowTypes[type], pageSize, all: 1 })))
}

/** What cutting a prompt costs in one layer. */
async function prompt(options: Options, tokens: number): Promise<void> {
  const k = await wasm(), time = timer(options, k), sets = 3, stride = tokens, capacity = 2048, registers = { tokens: 0, position: tokens }
  const scores = k.tensor([sets, stride], 'f32'), out = k.tensor([sets, stride], 'f32')
  const keep = k.tensor([sets], 'u32'), rows = k.tensor([sets, capacity], 'u32'), counts = k.tensor([sets], 'u32')
  k.upload(scores, normal(sets * stride).map(Math.exp))
  k.upload(keep, Array<number>(sets).fill(1500))
  const shape = { sets, tokens }
  for (const maximum of [1, 0])
    await time('pool', { ...shape, neighbours: 63, maximum }, registers, () => k.pool({ out, scores, sets, stride, tokens, kernel: 63, maximum }))
  for (const [name, from] of [['plain', scores], ['pooled', out]] as const) {
    if (from === out) await k.once(registers, () => k.pool({ out, scores, sets, stride, tokens, kernel: 63, maximum: 1 }))
    await time('topk', { ...shape, scores: name, keep: 1500 }, registers, () => k.topk({ rows, counts, scores: from, keep, sets, stride, tokens, first: 0, last: 32, capacity }))
  }
}

/** Choosing rows to read and rows to keep. */
export async function bench(options: Options): Promise<void> {
  for (const type of ['i16', 'f32'] as const) await decode(options, type)
  await prompt(options, 16384)
}
