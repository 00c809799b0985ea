import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { rowTypes, wholeTiles, type RowType, type Tensor } from '../../src/kernels/index.ts'
import { grid, groups, headDims, lengths, normal } from '../cases.ts'
import { compare, type Bench } from './harness.ts'

interface Shape { readonly type: RowType; readonly kvHeads: number; readonly group: number; readonly headDim: number; readonly pageSize: number; readonly count: number; readonly keys: Float32Array }

/** Rows with their bounds, one appended and not yet advanced where T is 1. */
async function cache(b: Bench, { type, kvHeads, headDim, pageSize, count, keys }: Shape): Promise<Tensor> {
  const segments = await b.segments({ kvHeads, headDim, type, keys, values: keys, count, capacity: wholeTiles(count + 1), pageSize })
  await b.run({ tokens: 0, position: 0 }, () => b.k.bounds({ segments, kvHeads, headDim, type: rowTypes[type], pageSize, all: 1 }))
  return segments
}

/** Both scores of one case. Grid numbers are exact in f32; codes are exact in any case. */
async function scores(b: Bench, s: Shape, query: Float32Array, count: number) {
  const { type, kvHeads, group, headDim, pageSize } = s, heads = kvHeads * group
  const pages = Math.ceil(s.count / pageSize), stride = pages + 3
  const segments = await cache(b, s)
  const q = b.tensor([heads, headDim], 'f32', query)
  const channels = b.tensor([kvHeads, count], 'u32'), temperature = b.tensor([heads], 'f32')
  const page = b.tensor([heads, stride], 'f32'), perHead = b.tensor([heads, stride], 'f32'), summed = b.tensor([kvHeads, stride], 'f32')
  await b.run({ tokens: 0, position: 0 }, () => {
    b.k.chooseChannels({ channels, temperature, query: q, heads, kvHeads, headDim, count, pageSize })
    b.k.pageScore({ out: page, query: q, channels, segments, heads, kvHeads, headDim, type: rowTypes[type], count, pageSize, stride })
    b.k.questScore({ out: perHead, query: q, segments, sets: heads, heads, kvHeads, headDim, type: rowTypes[type], pageSize, stride })
    b.k.questScore({ out: summed, query: q, segments, sets: kvHeads, heads, kvHeads, headDim, type: rowTypes[type], pageSize, stride })
  })
  return {
    channels: await b.k.read(channels), temperature: await b.k.read(temperature),
    page: await b.k.read(page), perHead: await b.k.read(perHead), summed: await b.k.read(summed),
  }
}

async function check(what: string, s: Shape, query: Float32Array, count: number, tolerance = 0): Promise<void> {
  await compare(what, async b => {
    const all = await scores(b, s, query, count)
    return Object.fromEntries(Object.entries(all).map(([name, data]) =>
      [name, { data, tolerance: name === 'channels' || name === 'temperature' ? 0 : tolerance }]))
  })
}

for (const type of ['f32', 'i16', 'q8', 'q4', 'q2'] as const) {
  test(`scores of ${type} pages, every length`, async () => {
    for (const count of [...lengths, 513])
      for (const pageSize of [1, 2, 3, 4, 16, count + 1]) {
        const kvHeads = 2, group = 3, headDim = 16
        await check(`${count} rows in pages of ${pageSize}`, { type, kvHeads, group, headDim, pageSize, count, keys: grid(count * kvHeads * headDim, count) },
          grid(kvHeads * group * headDim, 9), 1 + count % headDim)
      }
  })

  test(`scores of ${type} pages, every group and headDim`, async () => {
    for (const group of groups)
      for (const headDim of headDims)
        for (const pageSize of [1, 3]) {
          const kvHeads = 2, count = 20, keys = grid(count * kvHeads * headDim, group)
          const query = grid(kvHeads * group * headDim, headDim)
          for (const n of new Set([1, (headDim >> 1) + 1, headDim]))
            await check(`group ${group}, headDim ${headDim}, ${n} channels, pages of ${pageSize}`, { type, kvHeads, group, headDim, pageSize, count, keys }, query, n)
        }
  })

  // f32 sums of 64 products of about 1, rounded at every step where the reference rounds once; code sums are exact.
  test(`scores of ${type} pages, bell, zeros, equals, tiny`, async () => {
    const kvHeads = 2, group = 3, headDim = 64, count = 100, n = count * kvHeads * headDim, m = kvHeads * group * headDim
    for (const pageSize of [1, 3])
      for (const [name, keys, query] of [
        ['bell', normal(n), normal(m, 2)], ['zero keys', new Float32Array(n), normal(m)], ['zero query', normal(n), new Float32Array(m)],
        ['equal', new Float32Array(n).fill(0.5), new Float32Array(m).fill(-0.25)], ['tiny query', normal(n), normal(m).map(x => x * 1e-37)],
      ] as const)
        await check(`${name}, pages of ${pageSize}`, { type, kvHeads, group, headDim, pageSize, count, keys }, query, 30, type === 'f32' ? 1e-5 : 0)
  })
}

test('channels: ties keep the lower, a group that cancels reads the low bounds', async () => {
  await compare('chooseChannels', async b => {
    const heads = 2, kvHeads = 1, headDim = 4, count = 3
    const query = b.tensor([heads, headDim], 'f32', [1, -1, 2, 0, -1, -1, 2, 0])
    const channels = b.tensor([kvHeads, count], 'u32'), temperature = b.tensor([heads], 'f32')
    await b.run({ tokens: 1, position: 0 }, () => b.k.chooseChannels({ channels, temperature, query, heads, kvHeads, headDim, count, pageSize: 2 }))
    assert.equal([...await b.k.read(channels)], [0, 1, 16 + 2])
    assert.equal([...await b.k.read(temperature)], [2, 2])
    return {}
  })
})

test('channels: the temperature follows the scale of the scores', async () => {
  await compare('chooseChannels', async b => {
    const heads = 2, kvHeads = 1, headDim = 32, count = 5
    const query = b.tensor([heads, headDim], 'f32', normal(heads * headDim))
    const temperatures: number[][] = []
    for (const square of [0, headDim, 4 * headDim]) {
      const channels = b.tensor([kvHeads, count], 'u32'), temperature = b.tensor([heads], 'f32')
      await b.run({ tokens: 1, position: 0 }, () => b.k.chooseChannels({ channels, temperature, query, heads, kvHeads, headDim, count, pageSize: 2, square }))
      temperatures.push([...await b.k.read(temperature)])
    }
    assert.equal(temperatures[1], temperatures[0])
    assert.equal(temperatures[2], temperatures[0]!.map(t => 2 * t))
    return {}
  })
})

test('every page bounds the summed product of its rows, per channel and for the group', async () => {
  await compare('bounds', async b => {
    for (const type of ['f32', 'i16'] as const)
      for (const group of [1, 3]) {
        const kvHeads = 1, headDim = 32, count = 50, pageSize = 4, keys = normal(count * headDim, group), query = normal(group * headDim, 7)
        const { page, perHead } = await scores(b, { type, kvHeads, group, headDim, pageSize, count, keys }, query, headDim)
        const stride = Math.ceil(count / pageSize) + 3
        for (let row = 0; row < count; row++) {
          const dots = Array.from({ length: group }, (_, g) => keys.subarray(row * headDim, (row + 1) * headDim).reduce((sum, x, c) => sum + x * query[g * headDim + c]!, 0))
          const at = Math.floor(row / pageSize), slack = type === 'i16' ? 0.05 : 1e-4
          const bound = dots.reduce((sum, _, g) => sum + page[g * stride + at]!, 0)
          assert.ok(bound >= dots.reduce((sum, x) => sum + x, 0) - slack)
          dots.forEach((dot, g) => assert.ok(perHead[g * stride + at]! >= dot - slack))
        }
      }
    return {}
  })
})

test('a page weighs as much as one of its rows, whatever the page size', async () => {
  for (const count of [...lengths, 1000])
    for (const pageSize of [1, 2, 3, 16, count + 1])
      await compare(`${count} rows in pages of ${pageSize}`, async b => {
        const kvHeads = 2, group = 3, heads = 6, pages = Math.ceil(count / pageSize), stride = pages + 2
        const segments = await b.segments({ kvHeads, headDim: 4, type: 'f32', keys: grid(count * 8), values: grid(count * 8), count })
        const given = normal(heads * stride, count).map(x => 6 * x)
        const scores = b.tensor([heads, stride], 'f32', given)
        const temperature = b.tensor([heads], 'f32', [1, 2, 0.5, 3, 1.25, 8])
        const cold = b.tensor([kvHeads, stride], 'f32'), warm = b.tensor([kvHeads, stride], 'f32')
        await b.run({ tokens: 0, position: 0 }, () => {
          b.k.pageWeights({ out: cold, scores, temperature: null, segments, heads, kvHeads, pageSize, stride })
          b.k.pageWeights({ out: warm, scores, temperature, segments, heads, kvHeads, pageSize, stride })
        })
        const weights = await b.k.read(cold)
        // Over tokens: every row has its page's score.
        for (let h = 0; h < kvHeads; h++) {
          let total = 0
          for (let row = 0; row < count; row++) total += weights[h * stride + Math.floor(row / pageSize)]!
          assert.ok(Math.abs(total - 1) < 1e-5, `weights sum to ${total}`)
        }
        // exp in f32: a few ulp of numbers up to 1.
        return { cold: { data: weights, tolerance: 1e-6 }, warm: { data: await b.k.read(warm), tolerance: 1e-6 } }
      })
})

test('all-equal scores weigh the same, and softmax survives large numbers', async () => {
  await compare('pageWeights', async b => {
    const count = 130, pages = 44, segments = await b.segments({ kvHeads: 1, headDim: 2, type: 'f32', keys: grid(2 * count), values: grid(2 * count), count })
    for (const x of [0, -1e30, 1e30, 88, -88]) {
      const scores = b.tensor([1, pages], 'f32', new Float32Array(pages).fill(x)), out = b.tensor([1, pages], 'f32')
      await b.run({ tokens: 0, position: 0 }, () => b.k.pageWeights({ out, scores, temperature: null, segments, heads: 1, kvHeads: 1, pageSize: 3, stride: pages }))
      assert.ok((await b.k.read(out)).every(w => w === Math.fround(1 / count)))
    }
    return {}
  })
})

test.run()
