import { readdirSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { load } from '../../src/load.ts'
import { full } from '../../src/methods/full.ts'
import { withLogits } from '../../src/model/logits.ts'
import { near } from '../near.ts'
import { draw, followsWhereClear, golden } from './helpers.ts'

// Tiny random models of every architecture: logits as transformers computes them, tokens as llama.cpp decodes them. See test/goldens/families/make.py.

interface Family {
  readonly ids: number[]
  /** By row of the prompt. */
  readonly logits: Record<string, number[]>
  /** Greedy tokens of transformers with their gaps, the logits after them, greedy tokens of llama.cpp. */
  readonly tokens: number[]
  readonly gaps: number[]
  readonly after: number[]
  readonly llamaCpp: number[]
  /** LongRope: logits after the first 60 tokens alone, which fit the original context. */
  readonly short?: number[]
}

const folder = fileURLToPath(new URL('../goldens/families/', import.meta.url))
const names = readdirSync(folder).filter(name => name.endsWith('.gguf')).map(name => name.replace('.gguf', ''))

/** exact: sums of float32 in another order; measured at most 7e-6. fast: cache rows and queries of 13 bits; measured 3e-3. */
const tolerance = { exact: 5e-5, fast: 1e-2 }

/** llama.cpp leaves out what these files ask for: phi3's sliding window. */
const otherwise = ['phi3-window']

for (const name of names)
  for (const precision of ['exact', 'fast'] as const)
    test(`${name}, ${precision}`, async () => {
      const { ids, logits, tokens, gaps, after, llamaCpp } = golden<Family>(`families/${name}.json`)
      const model = await load(`${folder}${name}.gguf`, { precision })
      try {
        await withLogits(model.network, { ids, kv: precision === 'exact' ? 'f32' : 'i16', precision }, async at => {
          for (const [row, expected] of Object.entries(logits)) near(await at(Number(row)), expected, tolerance[precision], `logits after token ${row}`)
        })
        const sequence = model.sequence({ policy: full(), budget: 1, answer: tokens.length })
        await sequence.prefill(ids)
        near(await sequence.logits(), logits[ids.length - 1]!, tolerance[precision], 'logits after the prompt')
        for (const id of tokens) await sequence.feed(id)
        near(await sequence.logits(), after, tolerance[precision], 'logits after the answer')
        sequence.free()
        const greedy = model.sequence({ policy: full(), budget: 1, answer: tokens.length })
        await greedy.prefill(ids)
        const drawn = await draw(greedy, tokens.length)
        followsWhereClear(drawn, { ids: tokens, gapTop1Top2: gaps }, 'tokens of transformers')
        if (precision === 'exact') assert.equal(drawn, tokens)
        if (precision === 'exact' && !otherwise.includes(name)) assert.equal(drawn, llamaCpp, 'tokens of llama.cpp')
      } finally {
        model.free()
      }
    })

test('phi3: a prompt within the original context has the short divisors, where the context is told', async () => {
  const { ids, logits, short } = golden<Family>('families/phi3.json')
  const after = async (context?: number): Promise<Float32Array> => {
    const model = await load(`${folder}phi3.gguf`, { precision: 'exact', ...context === undefined ? {} : { context } })
    const sequence = model.sequence({ policy: full(), budget: 1, answer: 1 })
    await sequence.prefill(ids.slice(0, context === undefined ? 25 : 60))
    const all = await sequence.logits()
    model.free()
    return all
  }
  near(await after(64), short!, tolerance.exact, 'short')
  near(await after(), logits[24]!, tolerance.exact, 'long')
})

test.run()
