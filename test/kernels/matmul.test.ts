import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { integerLayout, layouts, type Layout } from '../../src/kernels/index.ts'
import { grid } from '../cases.ts'
import { compare, type Bench } from './harness.ts'
import { activations, fileRows, packed } from './weights.ts'

const test = suite('matmul')

interface Case {
  readonly layout: Layout
  readonly rows: number
  readonly columns: number
  readonly tokens: number
  readonly exact: 0 | 1
  readonly bias?: boolean
  readonly residual?: number
  readonly numbers?: 'grid' | 'any'
}

const seedOf = ({ rows, columns, tokens }: Case): number => rows * 7919 + columns * 31 + tokens

/** out as project leaves it. */
async function outcome(b: Bench, c: Case): Promise<Float32Array> {
  const { layout, rows, columns, tokens, exact, bias, residual, numbers = 'any' } = c
  const weights = await packed(b, layout, rows, columns, fileRows(layout, rows, columns, seedOf(c), numbers === 'grid'))
  const x = activations(b, tokens, columns, seedOf(c) + 1, numbers === 'grid')
  const row = residual ?? 0
  const out = b.tensor([tokens + row, rows], 'f32', grid((tokens + row) * rows, 3))
  const integers = integerLayout(layout) && !exact
  await b.run({ tokens, position: 0, row }, () => b.k.project({
    out, values: integers ? null : x.values, codes: integers ? x.codes : null, blocks: integers ? x.blocks : null, packed: weights,
    bias: bias ? b.tensor([rows], 'f32', grid(rows, 4)) : null, layout: layouts[layout], rows, columns,
    residual: residual === undefined ? 0 : 1, exact,
  }))
  return await b.k.read(out) as Float32Array
}

/**
 * Sums of n products in f32 differ from sums in f64 by at most about n / 2 roundings of a partial sum; of random signs by
 * √n of them. Weights stay below 16, codes' values below 2 × 16: partial sums of a few hundred at most.
 */
const tolerance = ({ numbers, columns }: Case): number => numbers === 'grid' ? 0 : 2e-5 * Math.sqrt(columns)

async function check(c: Case): Promise<void> {
  await compare(JSON.stringify(c), async b => ({ out: { data: await outcome(b, c), tolerance: tolerance(c) } }))
}

const names = Object.keys(layouts) as Layout[]
const rowCounts = [1, 7, 8, 9, 64, 65, 72]
const tokenCounts = [1, 2, 3, 4, 5, 8, 17]

for (const layout of names)
  for (const exact of [0, 1] as const)
    for (const numbers of ['grid', 'any'] as const) {
      test(`${layout}, exact ${exact}, ${numbers}: rows and tokens`, async () => {
        for (const rows of rowCounts)
          for (const tokens of tokenCounts) await check({ layout, rows, columns: 64, tokens, exact, numbers })
      })
      test(`${layout}, exact ${exact}, ${numbers}: columns`, async () => {
        for (const columns of integerLayout(layout) ? [32, 96, 576, 1056] : [1, 3, 5, 33, 127, 128, 129, 576])
          for (const tokens of [1, 5]) await check({ layout, rows: 9, columns, tokens, exact, numbers })
      })
      test(`${layout}, exact ${exact}, ${numbers}: bias and residual`, async () => {
        for (const rows of [7, 65])
          for (const residual of [undefined, 0, 3])
            for (const bias of [false, true])
              await check({ layout, rows, columns: 32, tokens: 5, exact, numbers, bias, ...residual === undefined ? {} : { residual } })
      })
    }

test('more tokens than a tile holds', async () => {
  await check({ layout: 'Q4_1', rows: 9, columns: 64, tokens: 131, exact: 0 })
  await check({ layout: 'F16', rows: 9, columns: 33, tokens: 131, exact: 0 })
})

test.run()
