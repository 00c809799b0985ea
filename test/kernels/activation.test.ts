import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { Tensor } from '../../src/kernels/index.ts'
import { lengths, normal, random } from '../cases.ts'
import { compare, type Bench, type Outputs } from './harness.ts'

interface Activations { values: Tensor | null; codes: Tensor | null; blocks: Tensor | null }

const activations = (b: Bench, tokens: number, dim: number, halves: 'values' | 'codes' | 'both'): Activations => ({
  values: halves === 'codes' ? null : b.tensor([tokens, dim], 'f32'),
  codes: halves === 'values' ? null : b.tensor([tokens, dim], 'i16'),
  blocks: halves === 'values' ? null : b.tensor([tokens, dim / 32, 4], 'f32'),
})

async function outputs(b: Bench, a: Activations, tolerance: number): Promise<Outputs> {
  const all: Outputs = {}
  if (a.values) all['values'] = { data: await b.k.read(a.values), tolerance }
  // A code is nearest(value / scale): exact where the values are; where they differ in the last bit a code may differ by one.
  if (a.codes) all['codes'] = { data: [...await b.k.read(a.codes)].map(code => tolerance ? code / 32639 : code), tolerance: tolerance ? 1 / 32000 : 0 }
  if (a.blocks) {
    const blocks = await b.k.read(a.blocks)
    const bits = new Uint32Array(blocks.buffer, blocks.byteOffset, blocks.length)
    all['scales'] = { data: blocks.filter((_, i) => i % 4 === 0), tolerance: 0 }
    if (!tolerance) all['blocks'] = { data: bits, tolerance: 0 }
  }
  return all
}

const halves = ['values', 'codes', 'both'] as const

test('quantize: codes, scales and sums bit for bit', async () => {
  const extremes = [1, 32639, 32639.002, 32640, 1e-38, 1e-42, 1e38, 0, 2 ** -126, 2 ** -112 * 1.9921]
  for (const tokens of lengths)
    for (const dim of [32, 96, 160])
      for (const half of halves)
        await compare(`quantize ${tokens} tokens of ${dim}, ${half}`, async b => {
          const next = random(tokens)
          const data = normal(tokens * dim, dim).map((x, i) => x * extremes[Math.floor(i / 32) % extremes.length]! * (next() < 0.1 ? 0 : 1))
          const x = b.tensor([tokens, dim], 'f32', data), a = activations(b, tokens, dim, half)
          await b.run({ tokens, position: 0 }, () => b.k.quantize({ ...a, x, dim, residual: 0 }))
          return outputs(b, a, 0)
        })
})

test('quantize rows of the whole prompt', async () => {
  for (const tokens of [1, 17, 33])
    for (const half of halves)
      await compare(`quantize ${tokens} tokens from row 3, ${half}`, async b => {
        const x = b.tensor([3 + tokens, 64], 'f32', normal((3 + tokens) * 64, tokens)), a = activations(b, tokens, 64, half)
        await b.run({ tokens, position: 0, row: 3 }, () => b.k.quantize({ ...a, x, dim: 64, residual: 1 }))
        return outputs(b, a, 0)
      })
})

test('quantize: the scale is the smallest power of two that fits', async () => {
  await compare('quantize', async b => {
    const tops = [32639, 32639.002, 1, 2, 1.9921, 1.9922, 3, 5e-39]
    const x = b.tensor([1, 32 * tops.length], 'f32', tops.flatMap(top => [top, ...new Array<number>(31).fill(0)]))
    const a = activations(b, 1, 32 * tops.length, 'both')
    await b.run({ tokens: 1, position: 0 }, () => b.k.quantize({ ...a, x, dim: 32 * tops.length, residual: 0 }))
    const blocks = await b.k.read(a.blocks!)
    tops.forEach((top, i) => {
      const scale = blocks[i * 4]!
      assert.is(Math.log2(scale) % 1, 0)
      assert.ok(Math.fround(top) <= 32639 * scale && (scale === 2 ** -126 || Math.fround(top) > 32639 * scale / 2), `largest ${top}: scale ${scale}`)
    })
    return outputs(b, a, 0)
  })
})

test('normalize rows of the whole prompt', async () => {
  for (const tokens of lengths)
    for (const dim of [32, 96, 160])
      for (const [half, row, epsilon] of [['values', 0, 1e-5], ['codes', 3, 1e-5], ['both', 1, 1e-6]] as const)
        await compare(`normalize ${tokens} tokens of ${dim}, ${half}`, async b => {
          const x = b.tensor([row + tokens, dim], 'f32', normal((row + tokens) * dim, tokens)), weight = b.tensor([dim], 'f32', normal(dim, 2))
          const a = activations(b, tokens, dim, half)
          await b.run({ tokens, position: 0, row }, () => b.k.normalize({ ...a, x, weight, dim, epsilon }))
          // f64 squares in another order: the inverse may differ by one bit.
          return outputs(b, a, 2.5e-7)
        })
})

test('normalize rows of zeros', async () => {
  await compare('normalize', async b => {
    const x = b.tensor([1, 32], 'f32', new Float32Array(32)), weight = b.tensor([32], 'f32', normal(32)), a = activations(b, 1, 32, 'both')
    await b.run({ tokens: 1, position: 0 }, () => b.k.normalize({ ...a, x, weight, dim: 32, epsilon: 1e-5 }))
    assert.ok((await b.k.read(a.values!)).every(v => v === 0))
    return outputs(b, a, 0)
  })
})

for (const gelu of [0, 1]) {
  test(`gate${gelu ? ', gelu' : ''}`, async () => {
    for (const tokens of lengths)
      for (const dim of [32, 96, 160])
        for (const half of halves)
          await compare(`gate ${tokens} tokens of ${dim}, ${half}`, async b => {
            const gate = b.tensor([tokens, dim], 'f32', normal(tokens * dim, 1).map(x => 5 * x)), up = b.tensor([tokens, dim], 'f32', normal(tokens * dim, 2))
            const a = activations(b, tokens, dim, half)
            await b.run({ tokens, position: 0 }, () => b.k.gate({ ...a, gate, up, dim, gelu }))
            return outputs(b, a, 1e-6) // exp in f32
          })
  })

  test(`gate of large numbers${gelu ? ', gelu' : ''}`, async () => {
    await compare('gate', async b => {
      const g = [0, -0, 87, -87, 88, -88, 100, -100, 1e4, -1e4, 1e30, -1e30, ...new Array<number>(20).fill(1)]
      const gate = b.tensor([1, 32], 'f32', g), up = b.tensor([1, 32], 'f32', new Float32Array(32).fill(1)), a = activations(b, 1, 32, 'values')
      await b.run({ tokens: 1, position: 0 }, () => b.k.gate({ ...a, gate, up, dim: 32, gelu }))
      const values = await b.k.read(a.values!)
      assert.ok(values.every(Number.isFinite))
      return outputs(b, a, 1e-6)
    })
  })
}

test.run()
