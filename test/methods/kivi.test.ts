import { readFileSync } from 'node:fs'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { parseMethod } from '../../src/methods/index.ts'
import { everywhere, serve, type Tokens } from './bare.ts'

// Attention over quantised rows against a program that knows the paper's formulas alone (test/goldens/kivi/make.py), in double precision.

interface Golden { heads: number; kvHeads: number; headDim: number; prompt: number; steps: number; cases: { bits: number; outs: number[][] }[] }
const golden = JSON.parse(readFileSync(new URL('../goldens/kivi/kivi.json', import.meta.url), 'utf8')) as Golden
const { heads, kvHeads, headDim, prompt, steps, cases } = golden

/** The golden's inputs, number by number. */
function numbers(n: number, seed: number): Float32Array {
  return Float32Array.from({ length: n }, (_, i) => {
    let x = (Math.imul(i + 1, 2654435761) + Math.imul(seed, 40503)) >>> 0
    x = Math.imul((x ^ x >>> 15) >>> 0, 2246822519) >>> 0
    x = (x ^ x >>> 13) >>> 0
    return (x >>> 8) / 2 ** 22 - 2
  })
}

const n = prompt + steps
const given: Tokens = { n, keys: numbers(n * kvHeads * headDim, 1), values: numbers(n * kvHeads * headDim, 2), queries: numbers(n * heads * headDim, 3) }

test('the golden has every width', () => assert.equal(cases.map(({ bits }) => bits), [2, 4, 8]))

for (const { bits, outs } of cases)
  test(`${bits} bits`, () => everywhere(async k => {
    const got = await serve(k, { heads, kvHeads, headDim }, parseMethod(`kivi,bits=${bits},dense=never`), given, { tokens: prompt, budget: 1, kv: 'f32' })
    assert.is(got.planned.kv, `q${bits}`)
    outs.forEach((out, step) => out.forEach((x, i) => {
      const gap = Math.abs(got.outs[step]![i]! - x)
      // Kernels meet a group's codes with queries and weights as codes of their own.
      assert.ok(gap < (k.name === 'reference' ? 1e-6 : 1e-4), `${k.name}, step ${step}: [${i}] is ${got.outs[step]![i]}, golden ${x}`)
    }))
  }))

test('the widths are far apart', () => {
  const far = (a: number, b: number): number => Math.max(...cases[a]!.outs.flatMap((out, s) => out.map((x, i) => Math.abs(x - cases[b]!.outs[s]![i]!))))
  assert.ok(far(0, 1) > 1e-2 && far(1, 2) > 1e-3)
})

test.run()
