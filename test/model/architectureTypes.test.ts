import { readFileSync } from 'node:fs'
import { test } from 'uvu'
import type { BlockName } from '../../src/gguf/index.ts'
import { load, type LoadOptions } from '../../src/load.ts'
import { full } from '../../src/methods/full.ts'
import { backends } from '../backends.ts'
import { random } from '../cases.ts'
import { requantize } from '../gguf/requantize.ts'
import { near } from '../near.ts'

// Architectures with integer weights, whose products read codes where F16 reads values: as the reference computes them.

/** Share of the largest logit, as in families.test.ts. */
const tolerance = { exact: 1e-5, fast: 1e-3 }
const names = ['llama', 'qwen2', 'qwen3', 'gemma2', 'gemma3', 'phi3', 'smollm3', 'granite', 'olmo2', 'olmo3']
const types: BlockName[] = ['Q8_0', 'Q4_1']

const next = random(5)
const ids = Array.from({ length: 70 }, () => Math.floor(next() * 260)), more = [7, 200, 31]

async function logits(bytes: Uint8Array<ArrayBuffer>, options: LoadOptions): Promise<number[]> {
  const model = await load(bytes, options)
  const sequence = model.sequence({ policy: full(), budget: 1, answer: 4 })
  await sequence.prefill(ids)
  const all = [...await sequence.logits()]
  for (const id of more) await sequence.feed(id)
  all.push(...await sequence.logits())
  sequence.free()
  model.free()
  return all
}

for (const backend of backends as 'wasm'[])
  for (const name of names)
    for (const type of types)
      test(`${backend}, ${name} in ${type}`, async () => {
        const bytes = await requantize(new Uint8Array(readFileSync(new URL(`../goldens/families/${name}.gguf`, import.meta.url))), type)
        for (const precision of ['fast', 'exact'] as const) {
          const actual = await logits(bytes, { backend, precision }), expected = await logits(bytes, { backend: 'reference', precision })
          const most = Math.max(...expected.map(Math.abs))
          near(actual.map(x => x / most), expected.map(x => x / most), tolerance[precision], `${precision}: logits`)
        }
      })

test.run()
