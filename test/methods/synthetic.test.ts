import { readFileSync } from 'node:fs'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { createAttention } from '../../src/cache/attention.ts'
import type { Policy } from '../../src/cache/policy.ts'
import { chunkkv } from '../../src/methods/chunkkv.ts'
import { snapkv } from '../../src/methods/snapkv.ts'
import { streaming } from '../../src/methods/streaming.ts'
import { near } from '../near.ts'
import { eighths, everywhere, scored } from './bare.ts'

// Kept positions and scores of kvpress, for keys and queries given as integers. Its rules are the goldens' `semantics`.

interface Input { name: string; T: number; Hkv: number; Hq: number; D: number; K8: number[][][]; lastHidden8: number[][] }
interface Case {
  input: string; config: string; press: string; params: { window?: number; kernel?: number; sinks?: number; chunkLength?: number }
  rope: string; ratio: number; kept: number[][]; scores: number[][]; marginRel: number
  /** [heads][window][headDim] */
  windowQueriesPostRope?: number[][][]
  chunkScores?: number[]; chunksKept?: number
}
/** Scores are 0.005 to 0.5 and given to seven digits: of sums that is a millionth. */
const scoreTolerance = 5e-7

const golden = JSON.parse(readFileSync(new URL('../goldens/presses/synthetic.json', import.meta.url), 'utf8')) as { inputs: Input[]; cases: Case[] }

/** The press of a case under its name here. */
function policyOf({ press, params: { window = 0, kernel = 0, sinks = 0, chunkLength = 0 } }: Case): Policy {
  switch (press) {
    case 'SnapKVPress': return snapkv({ variant: 'kvpress', window, kernel, dense: 'never' })
    case 'ChunkKVPress': return chunkkv({ variant: 'kvpress', window, kernel, chunk: chunkLength, dense: 'never' })
    case 'StreamingLLMPress': return streaming({ sinks, dense: 'never' })
  }
  throw new RangeError(`press must be one that has a method here, got ${press}`)
}

/** Queries of the window [window, heads, headDim]; where keys are not rotated, a token's hidden state is its query. */
const queriesOf = ({ lastHidden8 }: Input, { windowQueriesPostRope: q, params: { window = 0 } }: Case): Float32Array => q
  ? Float32Array.from(q[0]!.flatMap((_, t) => q.flatMap(rows => rows[t]!)))
  : Float32Array.from(lastHidden8.slice(lastHidden8.length - window).flat(), x => x / 8)

const sum = (rows: readonly (readonly number[])[]): number[] => rows[0]!.map((_, i) => rows.reduce((total, row) => total + row[i]!, 0))

for (const c of golden.cases)
  test(`${c.config}, input ${c.input}`, async () => {
    assert.ok(c.marginRel > 0.01, 'a score near the cut would make the golden a matter of rounding')
    const input = golden.inputs.find(({ name }) => name === c.input)!
    const { T, Hq: heads, Hkv: kvHeads, D: headDim } = input
    const { window = 0 } = c.params
    await everywhere(async k => {
      const policy = policyOf(c)
      const watched = policy.score ? scored(policy) : { policy }
      // As many tokens as int(T × (1 − ratio)) of kvpress.
      const a = createAttention({ kernels: k, heads, kvHeads, headDim, policy: watched.policy, budget: Math.trunc(T * (1 - c.ratio)) })
      a.plan(T, 8)
      await a.append(eighths(input.K8), new Float32Array(T * kvHeads * headDim))
      if (window) await a.observe(queriesOf(input, c))
      const what = `${c.config}, input ${c.input} on ${k.name}`
      assert.equal(await a.compress(), c.kept, what)
      if ('scores' in watched) {
        const { pooled } = await watched.scores(k)
        if (c.press === 'SnapKVPress') {
          // Sums over window and group here, means there; the window's own scores are kvpress's, rows that stay by rule here.
          const mean = window * heads / kvHeads
          pooled.forEach((row, h) => near(row.slice(0, T - window).map(x => x / mean), c.scores[h]!.slice(0, T - window), scoreTolerance, `${what}: scores of head ${h}`))
        } else {
          near(pooled[0]!, sum(c.scores), scoreTolerance, `${what}: scores`)
          const size = c.params.chunkLength!
          const means = c.chunkScores!.map((_, i) => pooled[0]!.slice(i * size, (i + 1) * size)).map(chunk => chunk.reduce((a, b) => a + b, 0) / chunk.length)
          near(means, c.chunkScores!, scoreTolerance, `${what}: chunks`)
        }
        watched.free(k)
      }
      a.free()
    })
  })

test.run()
