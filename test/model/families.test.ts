import { test } from 'uvu'
import type { BlockName } from '../../src/gguf/index.ts'
import { full } from '../../src/methods/full.ts'
import type { LlamaShape } from '../gguf/write.ts'
import { backends } from '../backends.ts'
import { near } from '../near.ts'
import { llama, run, someIds } from './helpers.ts'

// Float weights and layouts of 4 and 8 bits in networks of every head size that docs/models.md lists, against the reference: logits after a prompt and after tokens
// that were drawn.

/** Share of the largest logit. Sums are f32 here and f64 there, and in fast an activation may fall on either side of a code. Measured: 7e-7 and 3e-4. */
const tolerance = { exact: 1e-5, fast: 1e-3 }

const types: BlockName[] = ['F32', 'F16', 'BF16', 'Q8_0', 'Q4_0', 'Q4_1']
const shapes: Partial<LlamaShape>[] = [
  { headDim: 32, heads: 2, kvHeads: 2 }, { headDim: 64, heads: 2, kvHeads: 1 }, { headDim: 80, heads: 6, kvHeads: 2 }, { headDim: 128, heads: 4, kvHeads: 1 },
  { headDim: 96, heads: 2, kvHeads: 2 }, { headDim: 256, heads: 4, kvHeads: 1 },
]
/** As Llama 3 has them: low frequencies divided by 8, a ramp between. */
const ropeFactors = (headDim: number): number[] => Array.from({ length: headDim / 2 }, (_, i) => 1 + 7 * Math.min(1, Math.max(0, 4 * i / headDim - 0.5)))

const cases: Partial<LlamaShape>[] = [
  ...types.flatMap(type => [{ type, tied: true }, { type, tied: false }]),
  ...shapes.flatMap(shape => [{ ...shape, type: 'Q8_0' as const }, { ...shape, type: 'Q4_1' as const, tied: false }]),
  ...shapes.map(shape => ({ ...shape, type: 'F16' as const, ropeFactors: ropeFactors(shape.headDim!) })),
]

const ids = someIds(40)

for (const backend of backends as 'wasm'[])
  for (const shape of cases)
    for (const precision of ['fast', 'exact'] as const)
      test(`${backend}, ${precision}, ${JSON.stringify({ ...shape, ropeFactors: shape.ropeFactors?.length })}`, async () => {
        const logits: number[][] = []
        let tokens: number[] = []
        for (const name of [backend, 'reference'] as const) {
          const model = await llama({ layers: 2, ...shape }, { backend: name, precision })
          const sequence = model.sequence({ policy: full(), budget: 1, answer: 4 })
          await sequence.prefill(ids)
          const all = [...await sequence.logits()]
          if (name === backend) tokens = (await run(model, { ids, n: 4 })).tokens
          for (const id of tokens) await sequence.feed(id)
          all.push(...await sequence.logits())
          logits.push(all)
          sequence.free()
          model.free()
        }
        const most = Math.max(...logits[1]!.map(Math.abs))
        near(logits[0]!.map(x => x / most), logits[1]!.map(x => x / most), tolerance[precision], 'logits')
      })

test.run()
