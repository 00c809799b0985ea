// Choosing rows: what one decode step adds over all layers, and what cutting a prompt costs. Min and median milliseconds a run.
// node --import tsx bench/kernels/select.ts
import { cpus } from 'node:os'
import { boundBytes, rowBytes, rowTypes, segmentWords, wholeTiles, type Kernels, type Registers, type RowType, type Tensor } from '../../src/kernels/index.ts'
import { wasm } from '../../src/wasm/index.ts'
import { normal } from '../../test/cases.ts'

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

async function time(k: Kernels, name: string, shape: object, registers: Registers, body: () => void): Promise<void> {
  const program = k.record(body), times: number[] = []
  for (let i = -3; i < rounds; i++) {
    const start = performance.now()
    await k.run(program, registers)
    if (i >= 0) times.push(performance.now() - start)
  }
  k.release(program)
  times.sort((a, b) => a - b)
  console.log(JSON.stringify({ kernel: name, ...shape, min: +times[0]!.toFixed(3), median: +times[rounds >> 1]!.toFixed(3) }))
}

async function decode(type: RowType): Promise<void> {
  const k = await wasm(), stride = Math.ceil(wholeTiles(held + 1) / pageSize)
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
  const shape = { type, layers, kvHeads, heads, headDim, rows: held, pageSize, count, budget }, registers = { tokens: 1, position: held }
  await time(k, 'hsa step', shape, registers, () => caches.forEach(segments => Object.entries(steps).forEach(([name, step]) => name === 'questScore' || step(segments))))
  for (const [name, step] of Object.entries(steps)) await time(k, name, shape, registers, () => caches.forEach(step))
  await time(k, 'bounds of all pages', shape, registers, () =>
    caches.forEach(segments => k.bounds({ segments, kvHeads, headDim, type: rowTypes[type], pageSize, all: 1 })))
}

async function prompt(tokens: number): Promise<void> {
  const k = await wasm(), sets = 3, stride = tokens, capacity = 2048, registers = { tokens: 0, position: tokens }
  const scores = k.tensor([sets, stride], 'f32'), out = k.tensor([sets, stride], 'f32')
  const keep = k.tensor([sets], 'u32'), rows = k.tensor([sets, capacity], 'u32'), counts = k.tensor([sets], 'u32')
  k.upload(scores, normal(sets * stride).map(Math.exp))
  k.upload(keep, Array<number>(sets).fill(1500))
  const shape = { sets, tokens }
  for (const maximum of [1, 0])
    await time(k, 'pool', { ...shape, neighbours: 63, maximum }, registers, () => k.pool({ out, scores, sets, stride, tokens, kernel: 63, maximum }))
  for (const [name, from] of [['plain', scores], ['pooled', out]] as const) {
    if (from === out) await k.once(registers, () => k.pool({ out, scores, sets, stride, tokens, kernel: 63, maximum: 1 }))
    await time(k, 'topk', { ...shape, scores: name, keep: 1500 }, registers, () => k.topk({ rows, counts, scores: from, keep, sets, stride, tokens, first: 0, last: 32, capacity }))
  }
}

console.log(`# ${cpus()[0]!.model} · Node ${process.versions.node} · V8 ${process.versions.v8} · wasm simd`)
for (const type of ['i16', 'f32'] as const) await decode(type)
await prompt(16384)
