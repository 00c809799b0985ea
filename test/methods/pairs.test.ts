import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { roomBytes, rowTypes, type RowType } from '../../src/kernels/index.ts'
import { footprint, heldBytes, planFor } from '../../src/cache/plan.ts'
import type { Policy } from '../../src/cache/policy.ts'
import { methods, parseMethod } from '../../src/methods/index.ts'
import { on, part, serve, tokensOf } from './bare.ts'
import { createStack } from './stack.ts'

// Methods put together: whatever keeps rows, with whatever reads some of them, with whatever stores them.

const sizes = { heads: 6, kvHeads: 2, headDim: 16 }, shape = { ...sizes, layers: 1, scale: 0.25 }
const tokens = 1400, answer = 70, budget = 96
const given = tokensOf(tokens + answer, sizes)
const all = Object.keys(methods).map(name => ({ name, policy: parseMethod(name) }))
const reads = ({ decode }: Policy): boolean => decode.name !== methods.full().decode.name
const keepers = all.filter(({ policy }) => policy.evicts && !reads(policy) && !policy.store)
const readers = all.filter(({ policy }) => !policy.evicts && reads(policy))
const stores = all.filter(({ policy }) => !policy.evicts && policy.store).flatMap(({ name }) => ['2', '4', '8'].map(bits => `${name},bits=${bits}`))
/** Quest's paper leaves the first layers whole, and here is only one. */
const names = (list: typeof all): string[] => list.map(({ name }) => name === 'quest' ? 'quest,variant=rocketkv' : name)
const both = <A, B>(a: readonly A[], b: readonly B[]): [A, B][] => a.flatMap(x => b.map(y => [x, y] as [A, B]))

test('there is something of each kind', () => {
  for (const list of [keepers, readers, stores]) assert.ok(list.length > 1)
})

/** Runs a method; its ledger is its plan's. */
async function runs(text: string, kv: RowType = 'i16') {
  const k = await on('wasm'), policy = parseMethod(text)
  const got = await serve(k, sizes, policy, given, { tokens, budget, answer, kv })
  const told = footprint({ policy, kv, shape, tokens, answer, budget })
  // Where heads share their rows, how many each has is known only afterwards: the plan is a bound.
  const shared = told.planned.shared === true, bytes = got.ledgers[0]!.kvBytes
  assert.ok(shared ? bytes <= told.held : bytes === told.held, `${text}: ${bytes} bytes after the prompt, planned ${told.held}`)
  // An answer may grow, and a cut while decoding may shrink, what is held; a planned answer needs no more room than was planned.
  assert.ok(got.ledgers[1]!.kvBytes <= told.held, `${text}: ${got.ledgers[1]!.kvBytes} bytes after the answer, planned ${told.held}`)
  assert.ok(got.outs.every(out => out.every(Number.isFinite)), text)
  const kept = Math.min(tokens, got.planned.kept)
  if (policy.budget !== 'none') {
    if (!shared) for (const rows of got.kept) assert.is(rows.length, kept, text)
    assert.is(got.kept.reduce((sum, rows) => sum + rows.length, 0), kept * got.kept.length, text)
  }
  return got
}

for (const [keeper, store] of both(names(all.filter(({ policy }) => !policy.store && policy.name !== 'full')), stores))
  test(`${keeper}+${store}`, async () => {
    const plain = await runs(keeper), packed = await runs(`${keeper}+${store}`)
    assert.equal(packed.kept, plain.kept, 'the store changes nothing about what is kept')
    for (const [i, { kvBytes }] of packed.ledgers.entries()) assert.ok(kvBytes <= plain.ledgers[i]!.kvBytes, `${kvBytes} bytes, ${plain.ledgers[i]!.kvBytes} without`)
    assert.is(packed.ledgers[1]!.kvBytesFull, plain.ledgers[1]!.kvBytesFull, 'compared with the same full cache')
    // So few rows gain nothing; these do.
    const more = { policy: parseMethod(`${keeper}+${store}`), kv: 'i16' as const, shape, tokens: 6000, answer, budget: 1024 }
    assert.ok(footprint(more).held < footprint({ ...more, policy: parseMethod(keeper) }).held)
  })

for (const [keeper, reader] of both(names(keepers), names(readers))) {
  const text = `${keeper},budget=512+${reader}`
  test(text, async () => {
    const alone = planFor({ policy: parseMethod(keeper), kv: 'i16', shape, tokens, answer, budget: 512 })
    const got = await runs(text)
    assert.not(got.planned.dense, got.planned.reason)
    assert.is(got.planned.kept, alone.kept)
    const rowsRead = got.ledgers[1]!.rowsReadPerStep
    assert.ok(rowsRead < 512 && rowsRead > 0, `${rowsRead} rows read of ${got.ledgers[1]!.tokensHeld}`)
  })
}

for (const [[keeper, reader], store] of both(both(names(keepers), names(readers)), stores.slice(0, 1)))
  test(`${keeper},budget=512+${reader}+${store}`, async () => {
    const got = await runs(`${keeper},dense=never,budget=512+${reader}+${store}`), plain = await runs(`${keeper},dense=never,budget=512+${reader}`)
    assert.is(got.planned.kv, 'q2')
    assert.ok(got.ledgers[0]!.kvBytes < plain.ledgers[0]!.kvBytes)
    const { read, kept } = got.planned
    assert.equal([read, kept], [plain.planned.read, plain.planned.kept])
  })

test('rows held packed are the rows that --kv would pack', async () => {
  const k = await on('wasm')
  for (const [bits, kv] of [[8, 'q8'], [4, 'q4'], [2, 'q2']] as const) {
    for (const method of ['snapkv', 'rocketkv', 'quest']) {
      const a = await serve(k, sizes, { ...parseMethod(`${method}+kivi,bits=${bits}`), dense: 'never' }, given, { tokens, budget, kv: 'i16' })
      const b = await serve(k, sizes, { ...parseMethod(method), dense: 'never' }, given, { tokens, budget, kv })
      assert.equal(a.kept, b.kept)
      assert.equal(a.outs, b.outs, `${method}, ${bits} bits`)
      assert.is(a.ledgers[1]!.kvBytes, b.ledgers[1]!.kvBytes)
    }
  }
})

test('a store serves only where it takes no more bytes than --kv', () => {
  for (const kv of Object.keys(rowTypes) as RowType[])
    for (let n = 1; n < 700; n += 37) {
      const { kv: held } = planFor({ policy: parseMethod('kivi,bits=4'), kv, shape, tokens: n, answer: 5, budget: 1 })
      const [packed, plain] = [heldBytes(shape, 'q4', n + 5, 0), heldBytes(shape, kv, n + 5, 0)]
      assert.is(held, packed <= plain ? 'q4' : kv)
    }
  assert.is(planFor({ policy: parseMethod('kivi,dense=never'), kv: 'i16', shape, tokens: 3, answer: 1, budget: 1 }).kv, 'q2', 'unless it is told')
})

test('a conversation that begins short is packed once that pays', async () => {
  const k = await on('wasm'), turns = [[0, 60], [60, 100], [100, 700]] as const
  const stack = createStack(k, sizes, { layers: 1, policy: parseMethod('kivi,bits=4'), budget: 1, answer: 2, kv: 'i16' })
  const types: RowType[] = []
  for (const [from, to] of turns) {
    await stack.prompt([part(given, from, to)])
    types.push(stack.cache.plan().kv)
    await stack.step([part(given, to, to + 1)])
    assert.equal((await stack.cache.kept())[0]![0]!.length, (await stack.cache.ledger()).tokensSeen)
  }
  assert.equal(types, ['i16', 'i16', 'q4'])
  assert.ok((await stack.cache.ledger()).kvBytes < (await stack.cache.ledger()).kvBytesFull * 0.6)
  stack.free()
})

test('quantized-pruning holds the bytes that its budget of i16 rows would', async () => {
  const k = await on('wasm'), many = tokensOf(4000, sizes, 3)
  for (const bits of [8, 4, 2])
    for (const most of [256, 500, 1000]) {
      const { planned, kept, ledgers } = await serve(k, sizes, parseMethod(`quantized-pruning,bits=${bits}`), many, { tokens: 3990, budget: most, answer: 10, kv: 'i16' })
      const bytes = sizes.kvHeads * roomBytes('i16', sizes.headDim, most + 10)
      assert.ok(ledgers[0]!.kvBytes <= bytes, `${ledgers[0]!.kvBytes} of ${bytes}`)
      if (planned.kv !== 'i16') assert.ok(bytes - ledgers[0]!.kvBytes < sizes.kvHeads * 64 * 90, `room for one more group of ${ledgers[0]!.kvBytes} of ${bytes}`)
      assert.ok(kept[0]!.length >= most && (most < 1000 || kept[0]!.length > most * (bits === 8 ? 1 : 1.5)), `${kept[0]!.length} rows for ${most}`)
    }
})

for (const [text, sentence] of [
  ['snapkv+chunkkv', 'a composition must have at most one method that chooses rows to keep, got snapkv and chunkkv'],
  ['quest+sparq', 'a composition must have at most one method that chooses rows to read, got quest and sparq'],
  ['rocketkv+quest', 'a composition must have at most one method that chooses rows to read, got rocketkv and quest'],
  ['streaming+exact-topk', 'a composition must have at most one method that chooses rows to read, got streaming and exact-topk'],
  ['quantized-pruning+kivi', 'a composition must have at most one method that stores rows, got quantized-pruning and kivi'],
  ['kivi+kivi', 'a composition must have at most one method that stores rows, got kivi and kivi'],
  ['full+kivi', 'a composition must be of methods that each do something, got full in full+kivi'],
  ['snapkv+', `method must be one of ${Object.keys(methods).join(', ')}, got nothing`],
  ['snapkv+kivi,bits=3', 'kivi: bits must be one of 2, 4, 8, got 3'],
  ['snapkv+kivi,window=3', 'kivi: parameter must be one of bits, dense, got window'],
  ['snapkv,budget=0+kivi', 'snapkv: budget must be a whole number of tokens from 1 on, got 0'],
  ['snapkv+kivi,budget=64', 'kivi: budget must be given to a method that chooses rows, got one for a store'],
] as const)
  test(`refused: ${text}`, () => assert.throws(() => parseMethod(text), (error: Error & { code?: string }) => {
    assert.is(error.message, sentence)
    return error.code === 'usage'
  }))

test('a composition has the parameters of each part under its name', () => {
  const { name, parameters, paper } = parseMethod('snapkv,window=16,budget=300+quest,page=8+kivi,bits=4')
  assert.is(name, 'snapkv+quest+kivi')
  assert.is(paper, 'arXiv:2404.14469, arXiv:2406.10774, arXiv:2402.02750')
  assert.equal([parameters['snapkv.window'], parameters['snapkv.budget'], parameters['quest.page'], parameters['kivi.bits']], [16, 300, 8, 4])
})

test.run()
