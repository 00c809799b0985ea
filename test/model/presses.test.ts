import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { readAll } from '../../src/cache/stages/index.ts'
import type { Policy } from '../../src/cache/policy.ts'
import { load } from '../../src/load.ts'
import { adakv } from '../../src/methods/adakv.ts'
import { chunkkv } from '../../src/methods/chunkkv.ts'
import { keydiff } from '../../src/methods/keydiff.ts'
import { knorm } from '../../src/methods/knorm.ts'
import { pyramidkv } from '../../src/methods/pyramidkv.ts'
import { snapkv } from '../../src/methods/snapkv.ts'
import { streaming } from '../../src/methods/streaming.ts'
import { overlap, unpack } from '../methods/helpers.ts'
import { withSmollm } from '../models.ts'
import { draw, followsWhereClear, golden, type Greedy } from './helpers.ts'

interface Case {
  doc: string; T: number; target: number; config: string; press: string
  params: { window: number; kernel: number; chunkLength: number; sinks: number; alphaSafeguard: number; beta: number }
  keptCount: number | null; keptPerLayerHead: number[][] | null
  overlapWithFloat64: { min: number }
  layers: { layer: number; keptRanges: (number | [number, number])[][]; sharedByHeads: boolean }[]
  greedy24: Greedy
}
const { cases } = golden<{ cases: Case[] }>('presses/real_smollm2.json')
const { docs } = golden<{ docs: { name: string; ids: number[] }[] }>('presses/real_docs.json')

/** Share of a float32 forward's choice that another float32 forward makes too, where the golden has no lower one. */
const floor = 0.99

const presses: Record<string, (params: Case['params']) => Policy> = {
  SnapKVPress: ({ window, kernel }) => snapkv({ variant: 'kvpress', window, kernel, dense: 'never' }),
  'ChunkKVPress(SnapKVPress)': ({ window, kernel, chunkLength }) => chunkkv({ variant: 'kvpress', window, kernel, chunk: chunkLength, dense: 'never' }),
  'AdaKVPress(SnapKVPress)': ({ window, kernel, alphaSafeguard }) => adakv({ variant: 'kvpress', window, kernel, floor: alphaSafeguard * 100, dense: 'never' }),
  PyramidKVPress: ({ window, kernel, beta }) => pyramidkv({ variant: 'kvpress', window, kernel, beta, dense: 'never' }),
  KnormPress: () => knorm({ dense: 'never' }),
  KeyDiffPress: () => keydiff({ dense: 'never' }),
  // kvpress cuts the prompt alone: what is decoded is added and read.
  StreamingLLMPress: ({ sinks }) => ({ ...streaming({ sinks, dense: 'never' }), decode: readAll() }),
}

for (const doc of docs)
  withSmollm(test, `${doc.name}, exact: rows and tokens of kvpress`, async path => {
    const model = await load(path, { precision: 'exact' })
    const reading = await model.read({ ids: doc.ids })
    const asked = await reading.ask(doc.ids)
    for (const c of cases) {
      const policy = presses[c.press]?.(c.params)
      if (c.doc !== doc.name || !policy) continue
      const what = `${c.doc}, ${c.config}, target ${c.target}`
      const sequence = await asked.answer({ policy, budget: c.target, answer: 24 })
      const kept = await sequence.kept()
      assert.equal(kept.map(heads => heads.map(rows => rows.length)), c.keptPerLayerHead ?? kept.map(heads => heads.map(() => c.keptCount)), `${what}: counts`)
      for (const { layer, keptRanges, sharedByHeads } of c.layers)
        kept[layer]!.forEach((rows, head) => {
          const share = overlap(rows, unpack(keptRanges[sharedByHeads ? 0 : head]!))
          assert.ok(share >= Math.min(floor, c.overlapWithFloat64.min), `${what}: ${share} of the rows of layer ${layer}, head ${head}`)
        })
      followsWhereClear(await draw(sequence, 24), c.greedy24, what)
      sequence.free()
    }
    asked.free()
    reading.free()
    model.free()
  })

test.run()
