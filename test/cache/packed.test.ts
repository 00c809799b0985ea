import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { advanced, copyLayer, createLayer, ensureRoom, freeLayer, layerBytes, packLayer, positionsOf, type LayerOptions } from '../../src/cache/layer.ts'
import { rowTypes, tailType, type RowType } from '../../src/kernels/index.ts'
import { methods, parseMethod } from '../../src/methods/index.ts'
import { everywhere, on, part, tokensOf } from '../methods/bare.ts'
import { createStack, type Stack } from '../methods/stack.ts'

// Packed rows as a sequence holds them: whole groups of 64, an f32 tail.

const sizes = { heads: 4, kvHeads: 2, headDim: 16 }, { kvHeads, headDim } = sizes
const range = (from: number, to: number): number[] => Array.from({ length: to - from }, (_, i) => from + i)
const packedTypes = ['q8', 'q4', 'q2'] as const

/** By hand: 64 keys and values of 16 channels, a scale and an offset for each channel and each row, positions. */
const groupBytes = { q8: 2 * 64 * 16 + 2 * 4 * 16 + 2 * 4 * 64 + 4 * 64, q4: 64 * 16 + 2 * 4 * 16 + 2 * 4 * 64 + 4 * 64, q2: 64 * 8 + 2 * 4 * 16 + 2 * 4 * 64 + 4 * 64 }
/** 64 rows of f32 keys and values and their positions. */
const tailBytes = 64 * (2 * 4 * 16 + 4)

async function append({ k }: LayerOptions, layer: ReturnType<typeof createLayer>, n: number, from: number): Promise<void> {
  const { keys, values } = part(tokensOf(400, sizes, 5), from, from + n)
  const a = k.tensor([n, kvHeads, headDim], 'f32'), b = k.tensor([n, kvHeads, headDim], 'f32')
  k.upload(a, keys)
  k.upload(b, values)
  await k.once({ tokens: n, position: 1000 + from }, () => {
    k.append({ segments: layer.table, keys: a, values: b, kvHeads, headDim, type: rowTypes[layer.type] })
    k.advance({ segments: layer.table, kvHeads })
  })
  k.free(a, b)
  advanced(layer, n)
}

for (const kv of packedTypes) {
  test(`${kv}: a layer grows by prompts, and holds what the formula says`, () => everywhere(async k => {
    const o: LayerOptions = { k, kv, shape: { ...sizes, layers: 1, scale: 0.25 } }
    // A first round leaves the backend's scratch memory as large as it will be.
    const warm = createLayer(o, { rows: [1, 1] })
    await append(o, warm, 1, 0)
    freeLayer(o, warm)
    const used = k.memory().used
    const layer = createLayer(o, { rows: [1, 1] })
    assert.is(layerBytes(o, layer), 2 * tailBytes)
    let seen = 0
    for (const n of [1, 62, 1, 65, 150, 3]) {
      ensureRoom(o, layer, n)
      await append(o, layer, n, seen)
      seen += n
      await packLayer(o, layer)
      assert.equal(await positionsOf(o, layer), [range(1000, 1000 + seen), range(1000, 1000 + seen)], `${seen} rows`)
      for (const s of layer.heads) {
        assert.equal([s.count, s.split, s.tailCapacity], [seen, seen - seen % 64, 64])
        assert.is(s.tail.bytes, tailBytes)
      }
    }
    const groups = layer.heads[0]!.base!.capacity / 64
    assert.ok(groups >= Math.floor(seen / 64) && groups <= 6, `${groups} groups`)
    assert.is(layerBytes(o, layer), 2 * (groups * groupBytes[kv] + tailBytes))
    const copy = copyLayer(o, layer)
    assert.is(layerBytes(o, copy), layerBytes(o, layer))
    freeLayer(o, layer)
    assert.equal(await positionsOf(o, copy), [range(1000, 1000 + seen), range(1000, 1000 + seen)], 'a copy stands alone')
    freeLayer(o, copy)
    assert.is(k.memory().used, used)
  }))

  test(`${kv}: bytes after a prompt and an answer are those of the formula, and fewer than i16's`, async () => {
    const k = await on('wasm'), given = tokensOf(420, sizes, 9), answer = 20
    for (const tokens of [300, 320, 400]) {
      const bytes: Record<string, number> = {}
      for (const type of ['i16', kv] as RowType[]) {
        const stack = createStack(k, sizes, { layers: 1, policy: methods.full(), budget: 1, answer, kv: type })
        await stack.prompt([part(given, 0, tokens)])
        for (let at = tokens; at < tokens + answer; at++) await stack.step([part(given, at, at + 1)])
        bytes[type] = (await stack.cache.ledger()).kvBytes
        stack.free()
      }
      assert.is(bytes[kv], 2 * (Math.floor((tokens + answer) / 64) * groupBytes[kv] + tailBytes))
      assert.ok(bytes[kv]! < bytes['i16']!)
    }
  })
}

const every = [...Object.keys(methods), 'sparq,variant=rocketkv', 'exact-topk,variant=perQueryHead']
const layers = 2, given = Array.from({ length: layers }, (_, i) => tokensOf(400, sizes, 31 + i))

/** Attention of the steps from … to − 1. */
async function steps(stack: Stack, from: number, to: number): Promise<number[][][]> {
  const all: number[][][] = []
  for (let at = from; at < to; at++) all.push((await stack.step(given.map(t => part(t, at, at + 1)))).map(out => [...out]))
  return all
}

for (const name of every)
  for (const kv of packedTypes)
    test(`${name}, ${kv}: a step that is broken off leaves nothing behind, at the end of a group neither`, async () => {
      const k = await on('wasm'), tokens = 250, answer = 140
      const policy = name === 'full' ? parseMethod(name) : { ...parseMethod(name), dense: 'never' as const }
      const start = async (): Promise<Stack> => {
        const stack = createStack(k, sizes, { layers, policy, budget: 64, answer, kv })
        await stack.prompt(given.map(t => part(t, 0, tokens)))
        return stack
      }
      const whole = await start(), broken = await start()
      for (let at = tokens; at < tokens + answer; at++) {
        const expected = await steps(whole, at, at + 1)
        // All of a step runs, but the host is not told: what it stored and packed must count nowhere.
        const next = given.map(t => part(t, at, at + 1)).map(({ keys, values, queries }) => {
          const upload = (data: Float32Array, heads: number) => {
            const t = k.tensor([1, heads, headDim], 'f32')
            k.upload(t, data)
            return t
          }
          return { query: upload(queries, sizes.heads), keys: upload(keys, kvHeads), values: upload(values, kvHeads), out: k.tensor([1, sizes.heads, headDim], 'f32') }
        })
        await broken.cache.room()
        await k.once({ tokens: 1, position: broken.cache.seen() }, () => {
          next.forEach((step, index) => broken.cache.attend(index, step))
          broken.cache.advance()
        })
        await broken.cache.undo()
        for (const step of next) k.free(...Object.values(step))
        assert.equal(await steps(broken, at, at + 1), expected, `token ${at}`)
      }
      assert.equal(await broken.cache.kept(), await whole.cache.kept())
      assert.equal((await broken.cache.ledger()).kvBytes, (await whole.cache.ledger()).kvBytes)
      whole.free()
      broken.free()
    })

test('appended rows of packed types are f32 rows', () => {
  assert.equal((['f32', 'i16', 'q8', 'q4', 'q2'] as const).map(tailType), ['f32', 'i16', 'f32', 'f32', 'f32'])
})

test.run()
