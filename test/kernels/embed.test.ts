import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { blockTypes } from '../../src/gguf/index.ts'
import { integerLayout, layouts, packedBytes, sources, type SourceType } from '../../src/kernels/index.ts'
import { compare } from './harness.ts'
import { fileRows, packed, values } from './weights.ts'

const test = suite('embed')

const types = Object.keys(sources) as SourceType[]

for (const type of types)
  test(`${type}: rows as the file defines them`, async () => {
    const { layout, columns } = sources[type]
    for (const rows of [1, 8, 11])
      for (const dim of columns > 32 ? [columns, 2 * columns] : integerLayout(layout) ? [32, 96] : [1, 5, 33])
        for (const scale of [1, 0.3])
          for (const row of [0, 2])
            await compare(`${type}, rows ${rows}, dim ${dim}, scale ${scale}, from ${row}`, async b => {
              const weights = await packed(b, type, rows, dim, fileRows(type, rows, dim, rows + dim, false))
              // The last id is out of range: zeros.
              const ids = b.tensor([row + 4], 'u32', [...new Array(row).fill(9), rows - 1, 0, rows >> 1, rows])
              const out = b.tensor([row + 4, dim], 'f32', new Float32Array((row + 4) * dim).fill(7))
              await b.run({ tokens: 4, position: 0, row }, () =>
                b.k.embed({ out, ids, packed: weights, layout: layouts[layout], rows, dim, scale }))
              return { out: { data: await b.k.read(out), tolerance: 0 } }
            })
  })

/** Bits, with a NaN of any kind as one. */
const bits = (x: Float32Array): number[] => Array.from(new Uint32Array(x.buffer, x.byteOffset, x.length), (bits, i) => Number.isNaN(x[i]) ? 0x7fc00000 : bits)

test("packed weights of any type, small and large, are the reader's values bit for bit", async () => {
  for (const type of types)
    for (let seed = 0; seed < 3; seed++) {
      const { layout } = sources[type], rows = 9, dim = 512
      const file = fileRows(type, rows, dim, seed, false, true), expected = bits(values(type, file))
      await compare(`${type}, ${seed}`, async b => {
        const weights = await packed(b, type, rows, dim, file)
        const ids = b.tensor([rows], 'u32', Array.from({ length: rows }, (_, i) => i)), out = b.tensor([rows, dim], 'f32')
        await b.run({ tokens: rows, position: 0 }, () => b.k.embed({ out, ids, packed: weights, layout: layouts[layout], rows, dim, scale: 1 }))
        assert.equal(bits(await b.k.read(out) as Float32Array), expected, `${type}, ${seed} on ${b.k.name}`)
        return {}
      })
    }
})

test('types of files are those that the reader computes with, of the same sizes', () => {
  assert.equal(Object.fromEntries(Object.entries(sources).map(([name, { type, columns, bytes }]) => [name, { id: type, name, values: columns, bytes }])), { ...blockTypes })
})

test('every f16 becomes its f32, looked up and multiplied by 1', async () => {
  const rows = 65536
  const file = new Uint8Array(Uint16Array.from({ length: rows }, (_, i) => i).buffer)
  await compare('every f16', async b => {
    const weights = b.tensor([packedBytes('F16', rows, 1)], 'u8'), source = b.tensor([file.length], 'u8', file)
    const ids = b.tensor([rows], 'u32', Uint32Array.from({ length: rows }, (_, i) => i)), looked = b.tensor([rows, 1], 'f32')
    const multiplied = b.tensor([1, rows], 'f32'), one = b.tensor([1, 1], 'f32', [1])
    await b.run({ tokens: 0, position: 0 }, () => b.k.repack({ out: weights, source, type: sources.F16.type, layout: layouts.F16, rows, columns: 1, first: 0 }))
    await b.run({ tokens: rows, position: 0 }, () => b.k.embed({ out: looked, ids, packed: weights, layout: layouts.F16, rows, dim: 1, scale: 1 }))
    await b.run({ tokens: 1, position: 0 }, () => b.k.project({ out: multiplied, values: one, codes: null, blocks: null, packed: weights,
      bias: null, layout: layouts.F16, rows, columns: 1, residual: 0, exact: 0 }))
    return { looked: { data: await b.k.read(looked), tolerance: 0 }, multiplied: { data: await b.k.read(multiplied), tolerance: 0 } }
  })
})

test.run()
