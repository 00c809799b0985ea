import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { openSource, readHeader } from '../../src/gguf/index.ts'
import type { Kernels } from '../../src/kernels/index.ts'
import { methods } from '../../src/methods/index.ts'
import type { Policy } from '../../src/cache/policy.ts'
import { readConfig } from '../../src/model/config.ts'
import { createNetwork } from '../../src/model/llama.ts'
import { createSequence } from '../../src/model/sequence.ts'
import { loadWeights } from '../../src/model/weights.ts'
import { wasm } from '../../src/wasm/index.ts'
import { tiny } from '../models.ts'

/** What every method makes of a prompt, with a model loaded into these kernels. */
async function answers(k: Kernels): Promise<{ name: string; ids: number[]; logits: number[]; address: number }[]> {
  const source = await openSource(tiny)
  const header = await readHeader(source), config = readConfig(header)
  const weights = await loadWeights(k, source, header, config)
  const network = await createNetwork(k, config, weights)
  await source.close()
  const prompt = Array.from({ length: 400 }, (_, i) => 3 + i * 37 % 1000)
  const rows = []
  for (const [name, make] of Object.entries(methods))
    for (const kv of ['i16', 'f32'] as const) {
      const precision = kv === 'f32' ? 'exact' : 'fast', policy = (make as () => Policy)()
      // What packs its rows is not for exact numbers.
      if (policy.store && precision === 'exact') continue
      const sequence = createSequence(network, { policy, budget: 64, answer: 8, kv, precision })
      await sequence.prefill(prompt)
      const ids = [await sequence.next(), await sequence.next(), await sequence.next()]
      rows.push({ name: `${name}, ${kv}`, ids, logits: Array.from(await sequence.logits()), address: network.frequencies[0]!.address })
      sequence.free()
    }
  return rows
}

test('weights and caches beyond 2³¹ bytes give the same bits', async () => {
  const low = await wasm(), high = await wasm()
  // Never written, so it costs address space alone.
  high.tensor([2 ** 31 + 2 ** 28], 'u8')
  const expected = await answers(low), got = await answers(high)
  assert.ok(got[0]!.address > 2 ** 31)
  got.forEach((row, i) => {
    assert.equal(row.ids, expected[i]!.ids, row.name)
    assert.equal(row.logits, expected[i]!.logits, row.name)
  })
})

test.run()
