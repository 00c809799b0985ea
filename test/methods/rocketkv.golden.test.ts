import { readFileSync } from 'node:fs'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { load } from '../../src/load.ts'
import { rocketkv } from '../../src/methods/rocketkv.ts'
import { createReading, type Asked } from '../../src/model/reading.ts'
import { withSmollm } from '../models.ts'
import { agreeing, overlap, unpack, watched } from './helpers.ts'

type Ranges = (number | [number, number])[]
interface Step { step: number; rowsRanges: Ranges[]; cutMarginRel?: number[] }
interface Case {
  doc: string; T: number; N: number; t: number; plan: { Pk: number; k: number; p: number; r: number }
  layers: { layer: number; keptRanges: Ranges[]; keptMarginRel: number[]; steps: Step[] }[]
  greedy24: { ids: number[]; gapTop1Top2: number[] }
}
const read = (name: string): unknown => JSON.parse(readFileSync(new URL(`../goldens/${name}`, import.meta.url), 'utf8'))
const cases = (read('rocketkv/end_to_end.json') as { cases: Case[] }).cases
const docs = new Map((read('presses/real_docs.json') as { docs: { name: string; ids: number[] }[] }).docs.map(d => [d.name, d.ids]))

withSmollm(test, 'rocketkv on the 135M model, exact: kept rows, chosen rows, tokens', async path => {
  const model = await load(path, { precision: 'exact' })
  const asked = new Map<string, Asked>()
  for (const c of cases) {
    const what = `${c.doc}, budget ${c.t}`
    const w = watched(rocketkv({ dense: 'never' })), ids = docs.get(c.doc)!
    // Every budget answers the same reading: in exact the prompt takes most of the time, and a reading gives the bits of one pass.
    if (!asked.has(c.doc)) asked.set(c.doc, await (await createReading(model.network, { ids: ids.slice(0, -1), kv: model.kv, precision: model.precision })).ask(ids))
    const sequence = await asked.get(c.doc)!.answer({ policy: w.policy, budget: c.t, answer: c.N })
    const { kept, read, pageSize, channels } = sequence.plan()
    assert.equal({ kept, read, pageSize, channels }, { kept: c.plan.Pk, read: c.plan.k, pageSize: c.plan.p, channels: c.plan.r }, what)
    const positions = await sequence.kept()
    for (const { layer, keptRanges } of c.layers)
      keptRanges.forEach((ranges, h) => assert.ok(overlap(positions[layer]![h]!, unpack(ranges)) >= 0.99, `${what}: kept rows of layer ${layer}, head ${h}`))
    const tokens = [await sequence.next()]
    for (let step = 0; tokens.length < c.N; step++) {
      tokens.push(await sequence.next())
      for (const { layer, steps } of c.layers) {
        const golden = steps.find(s => s.step === step)
        if (!golden || tokens[step] !== c.greedy24.ids[step]) continue
        const rows = await w.rows(model.kernels, layer)
        golden.rowsRanges.forEach((ranges, h) => {
          const share = overlap(rows[h]!, unpack(ranges))
          assert.ok(share >= 0.95, `${what}: rows of step ${step}, layer ${layer}, head ${h}: ${share}`)
        })
      }
    }
    const same = agreeing(tokens, c.greedy24.ids)
    assert.ok(same === c.N || c.greedy24.gapTop1Top2[same]! < 0.05, `${what}: token ${same} is ${tokens[same]}, golden ${c.greedy24.ids[same]}`)
    sequence.free()
  }
  model.free()
})

test.run()
