// The relaxed build gives the bits of the simd build. A program of its own, for a runtime where relaxed dots are right: relaxed.test.ts starts it.
import { readFileSync } from 'node:fs'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { Policy } from '../../src/cache/policy.ts'
import { layouts, packedBytes, sources, type Kernels, type Layout } from '../../src/kernels/index.ts'
import { load } from '../../src/load.ts'
import { methods } from '../../src/methods/index.ts'
import { builds, wasm, type Build } from '../../src/wasm/index.ts'
import { random } from '../cases.ts'
import { tiny } from '../models.ts'
import { fileRows } from './weights.ts'

const [simd, relaxed] = await Promise.all(builds.map(build => wasm({ build }))) as [Kernels, Kernels]

interface Case { readonly layout: Layout; readonly rows: number; readonly columns: number; readonly tokens: number; readonly residual: 0 | 1 }

/** Codes where splitting could go wrong, and any. */
const extremes = [32639, -32639, 128, 127, -128, -129, 32512, -32513, 255, 256, 0]

/** The bits of `project`. */
async function bits(k: Kernels, { layout, rows, columns, tokens, residual }: Case): Promise<Int32Array> {
  const next = random(rows * 31 + columns * 7 + tokens)
  const codes = Int16Array.from({ length: tokens * columns }, () => next() < 0.3 ? extremes[Math.floor(next() * extremes.length)]! : Math.floor(next() * 65279) - 32639)
  const records = new Float32Array(tokens * columns / 8), sums = new Int32Array(records.buffer)
  for (let i = 0; i < records.length / 4; i++) {
    // One token's codes are all of one sign and largest, so that a sum is as large as it can be.
    if (i < columns / 32) codes.fill(i % 2 ? 32639 : -32639, 32 * i, 32 * i + 32)
    const sumOf = (n: number): number => codes.subarray(32 * i, 32 * i + n).reduce((a, c) => a + c, 0), sum = sumOf(32), scale = 2 ** -Math.floor(12 + next() * 6)
    records[4 * i] = scale
    records[4 * i + 1] = scale * sum
    sums.set([sum, sumOf(16)], 4 * i + 2)
  }
  const file = fileRows(layout, rows, columns, rows + columns, false)
  const source = k.tensor([file.length], 'u8'), packed = k.tensor([packedBytes(layout, rows, columns)], 'u8')
  const x = k.tensor([tokens, columns], 'i16'), blocks = k.tensor([tokens, columns / 32, 4], 'f32'), out = k.tensor([tokens, rows], 'f32')
  k.upload(source, file)
  k.upload(x, codes)
  k.upload(blocks, records)
  k.upload(out, Float32Array.from({ length: tokens * rows }, () => next() - 0.5))
  await k.once({ tokens: 0, position: 0 }, () => k.repack({ out: packed, source, type: sources[layout].type, layout: layouts[layout], rows, columns, first: 0 }))
  await k.once({ tokens, position: 0 }, () => k.project({ out, values: null, codes: x, blocks, packed, bias: null, layout: layouts[layout], rows, columns, residual, exact: 0 }))
  const data = await k.read(out) as Float32Array
  k.free(source, packed, x, blocks, out)
  return new Int32Array(data.slice().buffer)
}

async function same(c: Case): Promise<void> {
  const [expected, actual] = [await bits(simd, c), await bits(relaxed, c)]
  const at = expected.findIndex((word, i) => word !== actual[i])
  assert.is(at, -1, `${JSON.stringify(c)}: output ${at} must have bits ${expected[at]}, got ${actual[at]}`)
}

test('the two builds are two', () => {
  assert.equal([simd.build, relaxed.build], ['simd', 'relaxed'])
})

for (const layout of ['Q4_0', 'Q4_1', 'Q8_0'] as const) {
  test(`${layout}: any number of tokens`, async () => {
    for (const tokens of [...Array.from({ length: 14 }, (_, i) => i + 1), 17, 63, 64, 65, 66, 129]) await same({ layout, rows: 72, columns: 96, tokens, residual: tokens % 2 as 0 | 1 })
  })
  test(`${layout}: rows, and columns around a chunk's end`, async () => {
    for (const rows of [1, 7, 8, 9, 64, 65])
      for (const tokens of [1, 3, 10]) await same({ layout, rows, columns: 64, tokens, residual: 0 })
    for (const columns of [32, 576, 1024, 1056, 2080, 8192, 8224])
      for (const tokens of [1, 2, 8, 9, 13]) await same({ layout, rows: 9, columns, tokens, residual: 1 })
  })
}

/** Ids and logits of every method. */
async function answers(build: Build, threads: number): Promise<object[]> {
  const model = await load(tiny, { build, threads })
  assert.equal([model.kernels.build, model.kernels.threads], [build, threads])
  const rows = []
  for (const [name, make] of Object.entries(methods)) {
    const sequence = model.sequence({ policy: (make as () => Policy)(), budget: 64, answer: 8 })
    await sequence.prefill(Array.from({ length: 700 }, (_, i) => 3 + i * 37 % 1000))
    const ids: number[] = []
    while (ids.length < 6) ids.push(await sequence.next())
    rows.push({ name, ids, logits: Array.from(await sequence.logits()) })
    sequence.free()
  }
  model.free()
  return rows
}

test('a model answers with the same bits under either build, with threads and without', async () => {
  const expected = await answers('simd', 1)
  for (const threads of [1, 2]) assert.equal(await answers('relaxed', threads), expected, `${threads} threads`)
})

test('a given module says which build it is', async () => {
  for (const build of builds) {
    const module = await WebAssembly.compile(readFileSync(new URL(`../../build/${build}.wasm`, import.meta.url)))
    assert.is((await wasm({ module })).build, build)
    assert.is((await wasm({ module, build })).build, build)
  }
})

test.run()
