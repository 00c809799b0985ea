import { existsSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { blockTypes, openSource, readHeader, type BlockName, type Header } from '../../src/gguf/index.ts'
import { load } from '../../src/load.ts'
import { retyped } from '../gguf/retyped.ts'
import type { LlamaShape } from '../gguf/write.ts'
import { agreeing } from '../methods/helpers.ts'
import { smollm, withSmollm } from '../models.ts'
import { near } from '../near.ts'
import { golden, llama, run, someIds } from './helpers.ts'

// Models of every tensor type against their twins: the same values as F32.

/** Rows of whole blocks of 256. */
const shape: Partial<LlamaShape> = { layers: 2, heads: 4, kvHeads: 2, headDim: 64, dim: 256, hidden: 256, tied: false }
/** As a Q4_K_M file has them: half of the values and of the down projections, and the output, in six bits. */
const mixed = (name: string): BlockName => name === 'output.weight' || name.startsWith('blk.0.') && /attn_v|ffn_down/.test(name) ? 'Q6_K' : 'Q4_K'
const cases: Record<string, Partial<LlamaShape>> = {
  ...Object.fromEntries((Object.keys(blockTypes) as BlockName[]).map(type => [type, { type }])),
  'Q4_K and Q6_K': { types: mixed },
}

const ids = someIds(40)
const bits = (x: Float32Array): Uint32Array => new Uint32Array(x.buffer, x.byteOffset, x.length)

for (const [name, types] of Object.entries(cases))
  test(`${name}: exact has the bits of its values as F32, fast is near them`, async () => {
    const outcome = async (widened: boolean, precision: 'exact' | 'fast'): Promise<Awaited<ReturnType<typeof run>>> => {
      const model = await llama({ ...shape, ...types, widened }, { precision })
      try {
        return await run(model, { ids, n: 12 })
      } finally {
        model.free()
      }
    }
    const twin = await outcome(true, 'exact'), exact = await outcome(false, 'exact'), fast = await outcome(false, 'fast')
    assert.equal(exact.tokens, twin.tokens)
    assert.equal(bits(exact.logits), bits(twin.logits))
    const most = twin.logits.reduce((most, x) => Math.max(most, Math.abs(x)), 0)
    // Measured: at most 6e-4 of the largest logit, from activations of 16 bits.
    near(Array.from(fast.logits, x => x / most), Array.from(twin.logits, x => x / most), 2e-3, 'logits')
  })

/** As llama.cpp chooses for Q4_K_M, rows that are no multiple of 256 in its fallbacks, with which the output goes too. */
function mediumOf(name: string, columns: number): BlockName {
  const [, layer, part] = /^blk\.(\d+)\.(\w+)/.exec(name) ?? []
  const six = !part || /attn_v|ffn_down/.test(part) && Number(layer) % 2 === 0
  return columns % 256 ? six ? 'Q8_0' : 'Q5_0' : six ? 'Q6_K' : 'Q4_K'
}

async function headerOf(file: string | Uint8Array): Promise<Header> {
  const source = await openSource(file)
  try {
    return await readHeader(source)
  } finally {
    await source.close()
  }
}

withSmollm(test, 'the 135M model as Q4_K_M: exact gives the answers of its values as F32, and fast the same tokens', async path => {
  const mixed = retyped(readFileSync(path), await headerOf(path), { typeOf: mediumOf, widened: false })
  const widened = retyped(mixed, await headerOf(mixed), { typeOf: mediumOf, widened: true })
  const { ids } = golden<{ cases: { ids: number[] }[] }>('model/prompts.json').cases[1]!
  const outcome = async (file: Uint8Array, precision: 'exact' | 'fast'): Promise<Awaited<ReturnType<typeof run>>> => {
    const model = await load(file, { precision })
    try {
      return await run(model, { ids, n: 24 })
    } finally {
      model.free()
    }
  }
  const exact = await outcome(mixed, 'exact'), fast = await outcome(mixed, 'fast'), twin = await outcome(widened, 'exact')
  assert.equal(exact.tokens, twin.tokens)
  assert.equal(bits(exact.logits), bits(twin.logits))
  assert.equal(fast.tokens, twin.tokens)
})

interface Mixed { cases: { name: string; tokens: number[]; asSource: number }[] }

// llama.cpp's own Q4_K_M of the 135M model, which test/goldens/gguf/mixed.py makes beside it.
const path = smollm && join(dirname(smollm), 'SmolLM2-135M-Instruct.Q4_K_M.gguf')
const name = "llama.cpp's Q4_K_M of the 135M model: its float32 source's answers as far as llama.cpp gives them"
if (path && existsSync(path)) test(name, async () => {
  const prompts = new Map(golden<{ cases: { name: string; ids: number[]; greedy48: { ids: number[] } }[] }>('model/prompts.json').cases.map(c => [c.name, c]))
  for (const precision of ['exact', 'fast'] as const) {
    const model = await load(path, { precision })
    for (const { name, tokens, asSource } of golden<Mixed>('model/q4_k_m.json').cases) {
      const { ids, greedy48 } = prompts.get(name)!
      const ours = (await run(model, { ids, n: tokens.length })).tokens
      assert.ok(agreeing(ours, greedy48.ids) >= asSource, `${name}, ${precision}: ${asSource} tokens must be the source's, got ${agreeing(ours, greedy48.ids)}`)
    }
    model.free()
  }
})
else {
  console.log(`SKIP ${name}: SmolLM2-135M-Instruct.Q4_K_M.gguf is in neither $POCKETKV_MODELS nor ../shared/models`)
  test.skip(name, () => {})
}

test.run()
