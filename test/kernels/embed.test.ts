import { suite } from 'uvu'
import { integerLayout, layouts, packedBytes, type Layout } from '../../src/kernels/index.ts'
import { compare } from './harness.ts'
import { fileRows, packed } from './weights.ts'

const test = suite('embed')

for (const layout of Object.keys(layouts) as Layout[])
  test(`${layout}: rows as the file defines them`, async () => {
    for (const rows of [1, 8, 11])
      for (const dim of integerLayout(layout) ? [32, 96] : [1, 5, 33])
        for (const scale of [1, 0.3])
          for (const row of [0, 2])
            await compare(`${layout}, rows ${rows}, dim ${dim}, scale ${scale}, from ${row}`, async b => {
              const weights = await packed(b, layout, rows, dim, fileRows(layout, rows, dim, rows + dim, false))
              // The last id is out of range: zeros.
              const ids = b.tensor([row + 4], 'u32', [...new Array(row).fill(9), rows - 1, 0, rows >> 1, rows])
              const out = b.tensor([row + 4, dim], 'f32', new Float32Array((row + 4) * dim).fill(7))
              await b.run({ tokens: 4, position: 0, row }, () =>
                b.k.embed({ out, ids, packed: weights, layout: layouts[layout], rows, dim, scale }))
              return { out: { data: await b.k.read(out), tolerance: 0 } }
            })
  })

test('every f16 becomes its f32, looked up and multiplied by 1', async () => {
  const rows = 65536
  const file = new Uint8Array(Uint16Array.from({ length: rows }, (_, i) => i).buffer)
  await compare('every f16', async b => {
    const weights = b.tensor([packedBytes('F16', rows, 1)], 'u8'), source = b.tensor([file.length], 'u8', file)
    const ids = b.tensor([rows], 'u32', Uint32Array.from({ length: rows }, (_, i) => i)), looked = b.tensor([rows, 1], 'f32')
    const multiplied = b.tensor([1, rows], 'f32'), values = b.tensor([1, 1], 'f32', [1])
    await b.run({ tokens: 0, position: 0 }, () => b.k.repack({ out: weights, source, layout: layouts.F16, rows, columns: 1, first: 0 }))
    await b.run({ tokens: rows, position: 0 }, () => b.k.embed({ out: looked, ids, packed: weights, layout: layouts.F16, rows, dim: 1, scale: 1 }))
    await b.run({ tokens: 1, position: 0 }, () => b.k.project({ out: multiplied, values, codes: null, blocks: null, packed: weights,
      bias: null, layout: layouts.F16, rows, columns: 1, residual: 0, exact: 0 }))
    return { looked: { data: await b.k.read(looked), tolerance: 0 }, multiplied: { data: await b.k.read(multiplied), tolerance: 0 } }
  })
})

test.run()
