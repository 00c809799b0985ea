import { readFileSync } from 'node:fs'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { createAttention } from '../../src/cache/attention.ts'
import { rocketkvMt } from '../../src/methods/rocketkv-mt.ts'
import { near } from '../near.ts'
import { eighths, everywhere, fixed } from './bare.ts'

// RocketKV-MT (arXiv:2502.14051, section 3.5) over several turns, against an independent f64 implementation.

interface Step { k8: number[][]; v8: number[][]; q8: number[][]; selectedPositions: number[][]; out: number[][] }
interface Turn { K8: number[][][]; V8: number[][][]; Qwindow8: number[][][]; kept: number[][]; historyAfterPrefill: number; steps: Step[] }
interface Case { name: string; Hkv: number; Hq: number; D: number; Pk: number; w: number; kernel: number; p: number; r: number; k: number; turns: Turn[] }
const { cases } = JSON.parse(readFileSync(new URL('../goldens/rocketkv/multi_turn.json', import.meta.url), 'utf8')) as { cases: Case[] }

const row = (heads: readonly (readonly number[])[]): Float32Array => Float32Array.from(heads.flat(), x => x / 8)

for (const c of cases)
  test(c.name, () => everywhere(async k => {
    const policy = fixed(rocketkvMt({ window: c.w, kernel: c.kernel }), { kept: c.Pk, read: c.k, pageSize: c.p, channels: c.r })
    const a = createAttention({ kernels: k, heads: c.Hq, kvHeads: c.Hkv, headDim: c.D, policy, budget: 16 })
    let seen = 0
    for (const [t, turn] of c.turns.entries()) {
      const what = `${c.name} on ${k.name}, turn ${t}`
      const tokens = turn.K8[0]!.length
      a.plan(tokens, turn.steps.length)
      await a.append(eighths(turn.K8), eighths(turn.V8))
      await a.observe(eighths(turn.Qwindow8))
      assert.equal(await a.compress(), turn.kept, `${what}: kept`)
      seen += tokens
      const ledger = await a.ledger()
      assert.equal([ledger.tokensSeen, ledger.tokensHeld], [turn.historyAfterPrefill, turn.historyAfterPrefill], `${what}: history`)
      for (const [i, step] of turn.steps.entries()) {
        const query = row(step.q8)
        await a.append(row(step.k8), row(step.v8))
        const rows = await a.select(query), out = await a.attend(query), positions = await a.kept()
        assert.equal(rows!.map((head, h) => head.map(r => positions[h]![r])), step.selectedPositions, `${what}, step ${i}: rows`)
        near(out, step.out.flat(), 1e-5, `${what}, step ${i}: out`)
        seen++
      }
      assert.is((await a.ledger()).tokensSeen, seen)
    }
    a.free()
  }))

test.run()
