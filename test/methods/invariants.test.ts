import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { createAttention } from '../../src/cache/attention.ts'
import type { Policy } from '../../src/cache/policy.ts'
import type { Kernels } from '../../src/kernels/index.ts'
import { chunkkv } from '../../src/methods/chunkkv.ts'
import { exactTopk } from '../../src/methods/exact-topk.ts'
import { full } from '../../src/methods/full.ts'
import { hsa } from '../../src/methods/hsa.ts'
import { rocketkvMt } from '../../src/methods/rocketkv-mt.ts'
import { rocketkv } from '../../src/methods/rocketkv.ts'
import { near } from '../near.ts'
import { everywhere, fixed, on, part, prompt, scored, serve, tokensOf, type Sizes } from './bare.ts'
import { best, votes } from './plain.ts'
import { createStack } from './stack.ts'

// What the formulas of the methods promise, whatever the rows.

const sizes = { heads: 6, kvHeads: 2, headDim: 16 }
const tokens = 200, given = tokensOf(tokens + 20, sizes, 21)

test('as many rows read as held: attention over all of them', () => everywhere(async k => {
  const whole = await serve(k, sizes, full(), given, { tokens, budget: 16 })
  for (const pageSize of [1, 2, 3, 8])
    for (const channels of [1, 7, 16]) {
      const got = await serve(k, sizes, fixed(hsa(), { read: tokens + 20, pageSize, channels }), given, { tokens, budget: 16 })
      got.outs.forEach((out, i) => near(out, whole.outs[i]!, 1e-6, `pages of ${pageSize}, ${channels} channels on ${k.name}`))
      assert.equal(got.rows.map(rows => rows!.map(set => set.length)), got.rows.map((_, i) => [tokens + i + 1, tokens + i + 1]))
    }
}))

test('every channel, pages of one, no groups: hybrid attention is exact top-k', () => everywhere(async k => {
  const alone = { heads: 2, kvHeads: 2, headDim: 16 }, t = tokensOf(tokens + 20, alone, 5)
  for (const read of [1, 16, 50]) {
    const a = await serve(k, alone, fixed(hsa(), { read, pageSize: 1, channels: 16 }), t, { tokens, budget: 16 })
    const b = await serve(k, alone, fixed(exactTopk(), { read }), t, { tokens, budget: 16 })
    assert.equal(a.rows, b.rows, `${read} rows on ${k.name}`)
    assert.equal(a.outs, b.outs)
  }
}))

test('stage 1 keeps what the plan says, the window in it; a plan for every row keeps every row', () => everywhere(async k => {
  const window = 8
  for (const kept of [8, 9, 64, 65, 199, 200, 1000]) {
    const got = await serve(k, sizes, fixed(rocketkv({ window }), { kept, read: 16, pageSize: 2, channels: 8 }), given, { tokens, budget: 16 })
    for (const rows of got.kept) {
      assert.is(rows.length, Math.min(kept, tokens))
      assert.ok(rows.every((row, i) => row < tokens && row > (rows[i - 1] ?? -1)))
      assert.equal(rows.slice(-window), Array.from({ length: window }, (_, i) => tokens - window + i))
    }
  }
}))

/** Scores of a policy's stages for the first `tokens` rows. */
async function scoresOf(k: Kernels, of: Sizes, policy: Policy, budget: number) {
  const watched = scored(policy)
  const a = createAttention({ kernels: k, ...of, policy: watched.policy, budget })
  const kept = await prompt(a, part(given, 0, tokens)), scores = await watched.scores(k)
  a.free()
  watched.free(k)
  return { kept, ...scores }
}

test('votes add up to all queries of window and group, less what falls on the window', () => everywhere(async k => {
  for (const window of [1, 8, 32]) {
    const { raw } = await scoresOf(k, sizes, fixed(rocketkv({ window }), { kept: 100, pageSize: 1, channels: 1 }), 16)
    for (let h = 0; h < sizes.kvHeads; h++) {
      const { prefix, onWindow } = votes(part(given, 0, tokens), sizes, h, window)
      const all = raw[h]!.slice(0, tokens - window).reduce((a, b) => a + b, 0), most = 3 * window
      assert.ok(all <= most)
      near([all], [most - onWindow], 1e-5, `window ${window} on ${k.name}: sum`)
      near(raw[h]!.slice(0, tokens - window), prefix, 1e-5, `window ${window} on ${k.name}: votes`)
    }
  }
}))

test('a maximum over one row is the row, over more never less', () => everywhere(async k => {
  for (const kernel of [1, 3, 7, 63]) {
    const { raw, pooled } = await scoresOf(k, sizes, fixed(rocketkv({ window: 8, kernel }), { kept: 100, pageSize: 1, channels: 1 }), 16)
    for (let h = 0; h < sizes.kvHeads; h++)
      for (let row = 0; row < tokens - 8; row++) {
        const least = raw[h]![row]!, got = pooled[h]![row]!
        assert.ok(kernel === 1 ? got === least : got >= least)
      }
  }
}))

test('one turn of rocketkv-mt is rocketkv', () => everywhere(async k => {
  for (const budget of [16, 64]) {
    const options = { window: 8, dense: 'never' } as const
    const once = await serve(k, sizes, rocketkv(options), given, { tokens, budget }), turn = await serve(k, sizes, rocketkvMt(options), given, { tokens, budget })
    assert.equal(turn.kept, once.kept)
    assert.equal(turn.rows, once.rows)
    assert.equal(turn.outs, once.outs)
    assert.ok(once.kept[0]!.length < tokens)
    assert.equal(turn.ledgers.map(l => l.tokensHeld), [tokens, tokens + 20])
  }
}))

test('chunkkv keeps whole chunks, one of them cut, and the window', () => everywhere(async k => {
  const window = 16, chunk = 10, prefix = tokens - window
  for (const budget of [16, 40, 77, 199, 200, 300]) {
    const { kept } = await serve(k, sizes, chunkkv({ window, chunk, dense: 'never' }), given, { tokens, budget })
    assert.equal(kept[0], kept[1])
    const rows = kept[0]!
    assert.is(rows.length, Math.min(tokens, budget))
    assert.equal(rows.slice(-window), Array.from({ length: window }, (_, i) => prefix + i))
    if (rows.length === tokens) continue
    const cut = Array.from({ length: Math.ceil(prefix / chunk) }, (_, c) => rows.filter(row => row < prefix && Math.floor(row / chunk) === c))
      .filter((held, c) => held.length && held.length < Math.min(chunk, prefix - c * chunk))
    assert.ok(cut.length <= 1, `${cut.length} chunks were cut`)
    for (const held of cut) assert.equal(held, held.map((_, i) => Math.floor(held[0]! / chunk) * chunk + i), 'a cut chunk keeps its first rows')
  }
}))

test('chunks of one row: the rows with the highest sum over KV heads', () => everywhere(async k => {
  const window = 8, budget = 60
  const { kept } = await serve(k, sizes, chunkkv({ window, chunk: 1, dense: 'never' }), given, { tokens, budget })
  const [a, b] = [0, 1].map(h => votes(part(given, 0, tokens), sizes, h, window).prefix)
  const sum = a!.map((x, i) => x + b![i]!)
  const rows = best(sum, budget - window)
  assert.equal(kept[0], [...rows, ...Array.from({ length: window }, (_, i) => tokens - window + i)])
}))

test('chunkkv: layers that share a choice keep the same rows, the others their own', async () => {
  const k = await on('wasm')
  const layers = Array.from({ length: 5 }, (_, i) => tokensOf(tokens, sizes, 31 + i))
  const kept = async (reuse?: number): Promise<number[][]> => {
    const policy = chunkkv({ window: 8, dense: 'never', ...reuse ? { reuse } : {} })
    const stack = createStack(k, sizes, { layers: 5, policy, budget: 60 })
    const got = await stack.prompt(layers)
    stack.free()
    for (const [a, b] of got) assert.equal(a, b)
    return got.map(([rows]) => rows!)
  }
  const own = await kept()
  assert.is(new Set(own.map(String)).size, 5)
  assert.equal(await kept(1), own)
  assert.equal(await kept(2), [own[0], own[0], own[2], own[2], own[4]])
  assert.equal(await kept(3), [own[0], own[0], own[0], own[3], own[3]])
})

test.run()
