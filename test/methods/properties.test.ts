import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { createAttention } from '../../src/cache/attention.ts'
import type { Policy } from '../../src/cache/policy.ts'
import type { Kernels, RowType, Tensor } from '../../src/kernels/index.ts'
import { methods, parseMethod } from '../../src/methods/index.ts'
import { decode, fixed, on, part, prompt, serve, tokensOf, type Tokens } from './bare.ts'

// What holds for every method of the registry, and for its variants.

const variants = ['snapkv,variant=kvpress,window=16', 'exact-topk,variant=perQueryHead', 'quest,variant=rocketkv', 'sparq,variant=rocketkv',
  'chunkkv,variant=kvpress,window=16', 'rocketkv,recent=8,sinks=4', 'streaming,sinks=0', 'kivi,bits=4', 'quantized-pruning,bits=2']
const every = [...Object.keys(methods), ...variants]
const never = (text: string): Policy => ({ ...parseMethod(text), dense: 'never' })
const sizes = { heads: 6, kvHeads: 2, headDim: 16 }
const tokens = 300, budget = 64
const given = tokensOf(tokens + 16, sizes)

/** Live tensors of a backend: what was taken through it and not given back. */
function counting(k: Kernels): { k: Kernels; live: Map<number, Tensor> } {
  const live = new Map<number, Tensor>()
  return {
    live,
    k: {
      ...k,
      tensor(shape, type) {
        const t = k.tensor(shape, type)
        live.set(t.address, t)
        return t
      },
      free(...tensors) {
        for (const t of tensors) if (t) live.delete(t.address)
        k.free(...tensors)
      },
    },
  }
}

/** Memory comes in lines of 64 bytes. */
const inLines = (bytes: number): number => Math.max(64, Math.ceil(bytes / 64) * 64)

for (const name of every)
  for (const kv of ['f32', 'i16', 'q8', 'q4', 'q2'] as RowType[])
    test(`${name}, ${kv}: the ledger's bytes are those allocated, and all come back`, async () => {
      const plain = await on('wasm')
      const run = async (): Promise<void> => {
        const { k, live } = counting(plain)
        const before = k.memory().used
        const a = createAttention({ kernels: k, ...sizes, policy: never(name), budget, kv })
        const agree = async (when: string): Promise<void> => {
          const all = [...live.values()]
          // Rows and page bounds are the bytes; the sum of values is the one other thing a cache holds.
          const sums = all.filter(({ type, shape }) => type === 'f32' && `${shape}` === `${sizes.kvHeads},${sizes.headDim}`)
          const held = [...all.filter(({ type }) => type === 'u8'), ...sums].reduce((sum, { bytes }) => sum + bytes, 0)
          assert.is((await a.ledger()).kvBytes, held, when)
          if (warm) assert.is(k.memory().used - before, all.reduce((sum, { bytes }) => sum + inLines(bytes), 0), when)
        }
        await prompt(a, part(given, 0, tokens))
        await agree('after the prompt')
        await decode(a, part(given, tokens))
        await agree('after decoding')
        a.free()
        assert.is(live.size, 0)
        if (warm) assert.is(k.memory().used, before)
      }
      // The first round leaves the backend's own scratch memory as large as it will be.
      let warm = false
      await run()
      warm = true
      await run()
    })

for (const name of every)
  test(`${name}: one policy for two sequences is two policies`, async () => {
    const k = await on('wasm')
    const other = tokensOf(tokens + 20, sizes, 7)
    const apart = [await serve(k, sizes, never(name), given, { tokens, budget, answer: 16 }), await serve(k, sizes, never(name), other, { tokens: tokens + 4, budget, answer: 16 })]
    const policy = never(name)
    const [a, b] = [0, 1].map(() => createAttention({ kernels: k, ...sizes, policy, budget }))
    const kept = [await prompt(a!, part(given, 0, tokens)), await prompt(b!, part(other, 0, tokens + 4))]
    assert.equal(kept, apart.map(one => one.kept))
    for (let i = 0; i < 16; i++)
      for (const [s, [sequence, t, from]] of ([[a!, given, tokens], [b!, other, tokens + 4]] as const).entries()) {
        const { outs, rows } = await decode(sequence, part(t, from + i, from + i + 1))
        assert.equal(rows[0], apart[s]!.rows[i])
        assert.equal(outs[0], apart[s]!.outs[i])
      }
    a!.free()
    b!.free()
  })

/** The two KV heads, and their groups of query heads, change places. */
function swapped({ n, keys, values, queries }: Tokens): Tokens {
  const swap = (x: Float32Array): Float32Array => {
    const half = x.length / n / 2
    return x.map((_, i) => x[i % (2 * half) < half ? i + half : i - half]!)
  }
  return { n, keys: swap(keys), values: swap(values), queries: swap(queries) }
}

for (const name of every)
  test(`${name}: KV heads that change places change places in the result`, async () => {
    const k = await on('wasm')
    const plain = await serve(k, sizes, never(name), given, { tokens, budget }), moved = await serve(k, sizes, never(name), swapped(given), { tokens, budget })
    assert.equal(moved.kept, plain.kept.toReversed())
    moved.outs.forEach((out, i) => {
      const { outs, rows } = plain
      const half = out.length / 2
      assert.equal([...out], [...outs[i]!.subarray(half), ...outs[i]!.subarray(0, half)])
      const sets = rows[i] ?? null, each = sets ? sets.length / 2 : 0
      assert.equal(moved.rows[i] ?? null, sets && [...sets.slice(each), ...sets.slice(0, each)])
    })
  })

const held = every.filter(name => parseMethod(name).budget === 'held' && parseMethod(name).evicts)
for (const name of held)
  test(`${name}: the budget is what is held`, async () => {
    const k = await on('wasm')
    const policy = never(name)
    for (const most of [40, 64, 65, 128, 299]) {
      const { kept, planned } = await serve(k, sizes, policy, given, { tokens, budget: most })
      // kvpress keeps whole chunks, of which a short one at the end may be one.
      const short = name.startsWith('chunkkv,variant=kvpress') ? Number(policy.parameters['chunk']) : 1
      // KV heads that share rows have as many on average.
      const shared = planned.shared ?? false
      if (shared) assert.is(kept.reduce((sum, rows) => sum + rows.length, 0), most * sizes.kvHeads)
      for (const rows of kept) {
        if (shared) assert.ok(rows.length > 0)
        else if (short === 1) assert.is(rows.length, most)
        else assert.ok(rows.length > most - 2 * short && rows.length <= most, `${rows.length} of ${most}`)
        rows.forEach((row, i) => assert.ok(row < tokens && row > (rows[i - 1] ?? -1), 'ascending, unique, in range'))
        const window = policy.score && short === 1 ? policy.score.window : 0
        for (let row = tokens - window; row < tokens; row++) assert.ok(rows.includes(row), `${row} of the window`)
        for (let row = 0; row < Number(policy.parameters['sinks'] ?? 0); row++) assert.ok(rows.includes(row), `sink ${row}`)
      }
    }
  })

for (const name of every)
  test(`${name}: what fits the budget is full attention, bit for bit`, async () => {
    const k = await on('wasm')
    const policy = parseMethod(name)
    for (const kv of ['f32', 'i16', 'q8', 'q4', 'q2'] as RowType[]) {
      const got = await serve(k, sizes, policy, given, { tokens, budget: tokens + 16, kv })
      const full = await serve(k, sizes, { ...methods.full(), store: policy.store }, given, { tokens, budget, kv })
      assert.ok(got.planned.dense, got.planned.reason)
      assert.is(got.ledgers[1]!.dense, policy.budget !== 'none')
      assert.equal(got.outs, full.outs)
      assert.equal(got.kept, full.kept)
      assert.equal(got.rows, full.rows)
      assert.is(got.ledgers[1]!.kvBytes, full.ledgers[1]!.kvBytes)
      if (policy.store) assert.ok(full.ledgers[1]!.kvBytes <= full.ledgers[1]!.kvBytesFull)
      else assert.is(full.ledgers[1]!.kvBytes, full.ledgers[1]!.kvBytesFull)
    }
  })

for (const name of every.filter(name => parseMethod(name).evicts && !parseMethod(name).history))
  test(`${name}: never more bytes than full attention, unless it is told`, async () => {
    const k = await on('wasm')
    let dense = 0
    for (const n of [40, 100, 200, 300])
      for (const most of [32, 48, 64, 128, 256])
        for (const kv of ['f32', 'i16', 'q8', 'q4', 'q2'] as RowType[]) {
          const t = part(given, tokens - n)
          const got = await serve(k, sizes, parseMethod(name), t, { tokens: n, budget: most, kv })
          for (const { kvBytes, kvBytesFull } of got.ledgers) assert.ok(kvBytes <= kvBytesFull, `${n} tokens, budget ${most}: ${kvBytes} > ${kvBytesFull}`)
          const forced = await serve(k, sizes, never(name), t, { tokens: n, budget: most, kv })
          assert.not(forced.planned.dense)
          assert.is(forced.planned.reason, '')
          if (got.planned.dense) dense++
          // A store that is not forced serves only where it holds fewer bytes.
          else if (got.planned.kv === forced.planned.kv) assert.equal(got.outs, forced.outs)
        }
    assert.ok(dense > 0)
  })

for (const name of every)
  test(`${name}: an answer longer than planned changes nothing`, async () => {
    const k = await on('wasm')
    const t = tokensOf(tokens + 200, sizes, 3)
    // The plan is the same; only the room made at first differs. Streaming's is the distance of its cuts.
    const plan = never(name).plan({ tokens, answer: 16, budget, shape: { ...sizes, layers: 1, scale: 0.25 } })
    const [short, long] = await Promise.all([1, 400].map(reserve => serve(k, sizes, fixed(never(name), { ...plan, reserve }), t, { tokens, budget, answer: reserve })))
    assert.equal(short!.rows, long!.rows)
    assert.equal(short!.outs, long!.outs)
    // Streaming alone cuts while it decodes.
    if (!name.startsWith('streaming')) assert.ok(short!.ledgers[1]!.kvBytes > short!.ledgers[0]!.kvBytes)
  })

test('a method is registered under its own name', () => {
  for (const name of Object.keys(methods)) assert.is(parseMethod(name).name, name)
})

for (const name of every)
  test(`${name}: any budget is refused or kept to`, async () => {
    const k = await on('wasm')
    const t = part(given, tokens - 120)
    for (let most = 1; most <= 70; most += most < 40 ? 1 : 5)
      try {
        const { planned, kept } = await serve(k, sizes, never(name), t, { tokens: 120, budget: most, kv: 'i16' })
        const each = kept.reduce((sum, rows) => sum + rows.length, 0) / kept.length
        for (const rows of kept) {
          rows.forEach((row, i) => assert.ok(row >= 0 && (i === 0 || row > rows[i - 1]!), `budget ${most}: ${rows}`))
          if (parseMethod(name).budget === 'held' && !name.startsWith('chunkkv,variant')) assert.is(planned.shared ? each : rows.length, Math.min(120, planned.kept), `budget ${most}`)
        }
      } catch (error) {
        assert.is((error as { code?: string }).code, 'usage', `budget ${most}: ${(error as Error).message}`)
      }
  })

test.run()
