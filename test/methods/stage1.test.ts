import { readFileSync } from 'node:fs'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { createAttention } from '../../src/cache/attention.ts'
import { rocketkv } from '../../src/methods/rocketkv.ts'
import type { Kernels } from '../../src/kernels/index.ts'
import { near } from '../near.ts'
import { eighths, everywhere, fixed, scored } from './bare.ts'

// RocketKV's first stage (arXiv:2502.14051, section 3.3) against an independent f64 implementation, and the vector STAGE1-1.

interface Case {
  name: string; Hkv: number; Hq: number; T: number; D: number; w: number; kernel: number; keep: number; K8: number[][][]; Qwindow8: number[][][]
  kept: number[][]; marginRel: number | null; scores: number[][]; pooled: number[][]
}
const { cases } = JSON.parse(readFileSync(new URL('../goldens/rocketkv/stage1.json', import.meta.url), 'utf8')) as { cases: Case[] }

interface Stage { readonly heads: number; readonly kvHeads: number; readonly headDim: number; readonly window: number; readonly kernel: number; readonly keep: number; readonly keys: Float32Array; readonly queries: Float32Array }

/** Stage 1 alone: what it keeps, and the scores of the prefix, where it cuts at all. */
async function stage1(k: Kernels, { heads, kvHeads, headDim, window, kernel, keep, keys, queries }: Stage) {
  const tokens = keys.length / kvHeads / headDim
  const watched = scored(fixed(rocketkv({ window, kernel }), { kept: keep }))
  const a = createAttention({ kernels: k, heads, kvHeads, headDim, policy: watched.policy, budget: 16 })
  a.plan(tokens, 4)
  await a.append(keys, new Float32Array(keys.length))
  await a.observe(queries)
  const kept = await a.compress()
  a.free()
  if (keep >= tokens) return { kept, raw: [], pooled: [] }
  const { raw, pooled } = await watched.scores(k)
  watched.free(k)
  const prefix = (x: Float32Array): Float32Array => x.slice(0, tokens - window)
  return { kept, raw: raw.map(prefix), pooled: pooled.map(prefix) }
}

for (const c of cases)
  test(c.name, async () => {
    assert.ok(c.marginRel === null || c.marginRel > 0.005)
    await everywhere(async k => {
      const { kept, raw, pooled } = await stage1(k, { heads: c.Hq, kvHeads: c.Hkv, headDim: c.D, window: c.w, kernel: c.kernel, keep: c.keep, keys: eighths(c.K8), queries: eighths(c.Qwindow8) })
      const what = `${c.name} on ${k.name}`
      assert.equal(kept, c.kept, what)
      raw.forEach((row, h) => near(row, c.scores[h]!, 1e-5, `${what}: scores of head ${h}`))
      pooled.forEach((row, h) => near(row, c.pooled[h]!, 1e-5, `${what}: pooled scores of head ${h}`))
    })
  })

const published = {
  heads: 2, kvHeads: 1, headDim: 2, window: 2, keep: 5,
  keys: Float32Array.from([0, 0, 2, 0, 0, 1, 0, 3, 1, -1, 0.5, 0.5, 1, 0, 0, 1]),
  queries: Float32Array.from([1, 0, 1, 1, 0, 1, -1, 1]),
}
const scores = [0.25087237, 0.600433746, 0.427160114, 1.509807558, 0.254014605, 0.359098151]

for (const { kernel, pooled, kept } of [
  { kernel: 3, pooled: [0.600433746, 0.600433746, 1.509807558, 1.509807558, 1.509807558, 0.359098151], kept: [2, 3, 4, 6, 7] },
  { kernel: 1, pooled: scores, kept: [1, 2, 3, 6, 7] },
])
  test(`STAGE1-1, maximum over ${kernel}`, () => everywhere(async k => {
    const got = await stage1(k, { ...published, kernel })
    assert.equal(got.kept, [kept], k.name)
    near(got.raw[0]!, scores, 1e-6, `scores on ${k.name}`)
    near(got.pooled[0]!, pooled, 1e-6, `pooled scores on ${k.name}`)
  }))

test.run()
