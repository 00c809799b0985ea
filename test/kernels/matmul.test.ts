import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { integerLayout, layouts, sources, type IntegerLayout, type Layout, type Tensor } from '../../src/kernels/index.ts'
import { grid } from '../cases.ts'
import { compare, type Bench } from './harness.ts'
import { stopping } from './stopping.ts'
import { activations, fileRows, magnitudes, packed, scalesAt } from './weights.ts'

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

/** out as project leaves it; of any numbers as a share of the sum of the magnitudes of what is added up. */
async function outcome(b: Bench, c: Case, file: Uint8Array, sizes: Float64Array): Promise<Float32Array> {
  const { layout, rows, columns, tokens, exact, bias, residual, numbers = 'any' } = c
  const weights = await packed(b, layout, rows, columns, file)
  const x = activations(b, tokens, columns, seedOf(c) + 1, numbers === 'grid')
  const row = residual ?? 0
  const out = b.tensor([tokens + row, rows], 'f32', grid((tokens + row) * rows, 3))
  const integers = integerLayout(layout) && !exact
  await b.run({ tokens, position: 0, row }, () => b.k.project({
    out, values: integers ? null : x.values, codes: integers ? x.codes : null, blocks: integers ? x.blocks : null, packed: weights,
    bias: bias ? b.tensor([rows], 'f32', grid(rows, 4)) : null, layout: layouts[layout], rows, columns,
    residual: residual === undefined ? 0 : 1, exact,
  }))
  const data = await b.k.read(out) as Float32Array
  if (numbers === 'grid') return data
  const added = (bias ? 4 : 0) + (residual === undefined ? 0 : 4)
  return data.map((y, i) => y / (sizes[i % rows]! * x.largest + added || 1))
}

/**
 * Of the sum of magnitudes: a term meets about 32 additions in its block of columns and columns / 32 afterwards, each rounded
 * by at most 2⁻²⁴, and roundings of both signs cancel to a few of them.
 */
const tolerance = ({ numbers }: Case): number => numbers === 'grid' ? 0 : 3e-7

async function check(c: Case): Promise<void> {
  const { layout, rows, columns, numbers } = c
  const file = fileRows(layout, rows, columns, seedOf(c), numbers === 'grid')
  const sizes = magnitudes(layout, rows, columns, file)
  await compare(JSON.stringify(c), async b => ({ out: { data: await outcome(b, c, file, sizes), tolerance: tolerance(c) } }))
}

const names = Object.keys(layouts) as Layout[]
/** The blocks of a file that the layout is named by take whole runs of columns. */
const least = (layout: Layout): number => Math.max(32, sources[layout].columns)
const rowCounts = [1, 7, 8, 9, 64, 65, 72]
const tokenCounts = [1, 2, 3, 4, 5, 8, 17]

for (const layout of names)
  for (const exact of [0, 1] as const)
    for (const numbers of ['grid', 'any'] as const) {
      test(`${layout}, exact ${exact}, ${numbers}: rows and tokens`, async () => {
        const long = least(layout) > 64
        for (const rows of long ? [1, 9, 64, 65] : rowCounts)
          for (const tokens of long ? [1, 3, 4, 5, 17] : tokenCounts) await check({ layout, rows, columns: Math.max(64, least(layout)), tokens, exact, numbers })
      })
      test(`${layout}, exact ${exact}, ${numbers}: columns`, async () => {
        for (const columns of least(layout) > 32 ? [256, 768, 1280] : integerLayout(layout) ? [32, 96, 576, 1056] : [1, 3, 5, 33, 127, 128, 129, 576])
          for (const tokens of [1, 5]) await check({ layout, rows: 9, columns, tokens, exact, numbers })
      })
      test(`${layout}, exact ${exact}, ${numbers}: bias and residual`, async () => {
        for (const rows of [7, 65])
          for (const residual of [undefined, 0, 3])
            for (const bias of [false, true])
              await check({ layout, rows, columns: least(layout), tokens: 5, exact, numbers, bias, ...residual === undefined ? {} : { residual } })
      })
    }

test('more tokens than a tile holds', async () => {
  await check({ layout: 'Q4_1', rows: 9, columns: 64, tokens: 131, exact: 0 })
  await check({ layout: 'F16', rows: 9, columns: 33, tokens: 131, exact: 0 })
})

/** Rows [at, at + 1) of a tensor [rows, …]. */
function oneRow(t: Tensor | null, at: number): Tensor | null {
  if (!t) return null
  const bytes = t.bytes / t.shape[0]!
  return { ...t, shape: [1, ...t.shape.slice(1)], address: t.address + at * bytes, bytes }
}

const bits = (x: ArrayLike<number>): number[] => [...new Uint32Array(Float32Array.from(x).buffer)]

test('a row of a batch has the bits it has alone', async () => {
  for (const layout of names)
    for (const exact of [0, 1] as const)
      for (const [rows, columns] of least(layout) > 32 ? [[9, 256], [65, 768], [8, 1280]] as const : [[9, 64], [65, 576], [8, 1056], ...integerLayout(layout) ? [] : [[9, 33], [9, 545]]] as const)
        await compare(`${layout}, exact ${exact}, ${rows} x ${columns}`, async b => {
          const tokens = 71
          const weights = await packed(b, layout, rows, columns, fileRows(layout, rows, columns, 5, false))
          const x = activations(b, tokens, columns, 6, false)
          const out = b.tensor([tokens, rows], 'f32')
          const product = { packed: weights, bias: null, layout: layouts[layout], rows, columns, residual: 0, exact }
          await b.run({ tokens, position: 0 }, () => b.k.project({ ...product, ...x, out }))
          const batch = await b.k.read(out)
          for (const t of [0, 3, 4, 63, 64, 68, 70]) {
            const alone = b.tensor([1, rows], 'f32')
            await b.run({ tokens: 1, position: 0 }, () => b.k.project({ ...product, out: alone,
              values: oneRow(x.values, t), codes: oneRow(x.codes, t), blocks: oneRow(x.blocks, t) }))
            assert.equal(bits(await b.k.read(alone)), bits(batch.slice(t * rows, (t + 1) * rows)), `${b.k.name}: ${layout}, token ${t}`)
          }
          return {}
        })
})

test('blocks of zeros give the bias', async () => {
  for (const layout of names)
    await compare(`${layout}, zeros`, async b => {
      const columns = 2 * least(layout)
      const file = fileRows(layout, 9, columns, 1, false).fill(0)
      const weights = await packed(b, layout, 9, columns, file), x = activations(b, 5, columns, 2, false)
      const out = b.tensor([5, 9], 'f32'), bias = grid(9, 3)
      await b.run({ tokens: 5, position: 0 }, () => b.k.project({ ...x, out, packed: weights, bias: b.tensor([9], 'f32', bias),
        layout: layouts[layout], rows: 9, columns, residual: 0, exact: 0 }))
      const data = await b.k.read(out)
      assert.equal(Array.from(data), Array.from({ length: 5 }, () => Array.from(bias)).flat())
      return { out: { data, tolerance: 0 } }
    })
})

/** A block with every code byte alike, and scales and minima of 1 (of Q3_K −32). */
function alike(layout: IntegerLayout, byte: number): Uint8Array {
  const block = new Uint8Array(sources[layout].bytes).fill(byte)
  if (layout === 'Q2_K') block.fill(0x11, 0, 16)
  if (layout === 'Q3_K') block.fill(0, 96, 108)
  if (layout === 'Q6_K') block.fill(1, 192, 208)
  for (const at of scalesAt[layout]) block.set([0x00, 0x3c], at)
  return block
}

test('the largest codes of both sides stay within 32 bits', async () => {
  for (const layout of names.filter(integerLayout))
    for (const code of [32639, -32639])
      for (const byte of [0x00, 0x7f, 0x80, 0xff])
        await compare(`${layout}, code ${code}, byte ${byte}`, async b => {
          const columns = least(layout)
          const weights = await packed(b, layout, 1, columns, alike(layout, byte))
          const records = new Float32Array(columns / 8)
          for (let at = 0; at < records.length; at += 4) {
            records.set([2 ** -15, 32 * code * 2 ** -15], at)
            new Int32Array(records.buffer).set([32 * code, 16 * code], at + 2)
          }
          const codes = b.tensor([4, columns], 'i16', new Int16Array(4 * columns).fill(code))
          const blocks = b.tensor([4, columns / 32, 4], 'f32', [...records, ...records, ...records, ...records])
          const outputs: Record<string, { data: ArrayLike<number>; tolerance: number }> = {}
          for (const tokens of [1, 4]) {
            const out = b.tensor([tokens, 1], 'f32')
            await b.run({ tokens, position: 0 }, () => b.k.project({ out, values: null, codes, blocks, packed: weights, bias: null,
              layout: layouts[layout], rows: 1, columns, residual: 0, exact: 0 }))
            // Integer sums above 2²⁴ are rounded once to f32, the reference once later.
            outputs[`${tokens} tokens`] = { data: await b.k.read(out), tolerance: 2e-7 }
          }
          return outputs
        })
})

test('stopped after every block and resumed, a program gives the same bits', async () => {
  const layout = 'Q4_1', rows = 200, columns = 64, tokens = 5
  const runs: number[][] = []
  let stops = 0
  for (const budget of [1, 1e9]) {
    const { k, calls } = await stopping(budget)
    await compare('one run', async b => {
      if (b.k.name !== 'wasm') return {}
      const at: Bench = { ...b, k, tensor: (shape, type, data) => {
        const t = k.tensor(shape, type)
        if (data) k.upload(t, data)
        return t
      }, run: (registers, body) => k.once(registers, body) }
      const weights = await packed(at, layout, rows, columns, fileRows(layout, rows, columns, 1, false))
      const x = activations(at, tokens, columns, 2, false)
      const out = at.tensor([tokens, rows], 'f32', grid(tokens * rows, 3))
      const before = calls()
      await at.run({ tokens, position: 0 }, () => {
        k.project({ ...x, out, packed: weights, bias: null, layout: layouts[layout], rows, columns, residual: 0, exact: 0 })
        k.project({ ...x, out, packed: weights, bias: null, layout: layouts[layout], rows, columns, residual: 1, exact: 1 })
      })
      stops = Math.max(stops, calls() - before)
      runs.push(bits(await k.read(out)))
      return {}
    })
  }
  // Two products of four blocks of rows: a call for each block but the first, and one to see the end.
  assert.is(stops, 8)
  for (const run of runs) assert.equal(run, runs[0])
})

test.run()
