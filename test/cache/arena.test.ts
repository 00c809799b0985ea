import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { createArena } from '../../src/kernels/arena.ts'
import { alone, type Machine } from '../../src/kernels/machine.ts'
import { wasm } from '../../src/wasm/index.ts'
import { random } from '../cases.ts'

/** A memory that grows up to `most` bytes, and runs nothing. */
function memory(most = Infinity): Machine {
  let buffer = new ArrayBuffer(64)
  return {
    name: 'memory', build: 'memory', start: 10, buffer: () => buffer, opcode: () => 0, run: () => true, threads: 1, sharing: () => alone, close() {},
    grow(bytes) {
      if (bytes > most) return false
      const next = new Uint8Array(bytes)
      next.set(new Uint8Array(buffer))
      buffer = next.buffer
      return true
    },
  }
}

test('places are whole lines from the first free one on, zeroed', () => {
  const machine = memory(), arena = createArena(machine, 1e6)
  assert.equal([0, 1, 64, 65, 3].map(bytes => arena.take(bytes)), [64, 128, 192, 256, 384])
  assert.is(arena.taken(), 6 * 64)
  new Uint8Array(machine.buffer()).fill(7, 256, 384)
  arena.give(256)
  const again = arena.take(128)
  assert.is(again, 256)
  assert.ok(new Uint8Array(machine.buffer(), again, 128).every(byte => byte === 0))
})

test('a place that was given back is used again, the first that fits', () => {
  const arena = createArena(memory(), 1e6)
  const [a, b, c] = [64, 256, 128, 64].map(bytes => arena.take(bytes))
  arena.give(b!)
  assert.is(arena.take(64), b, 'the first part of a larger place')
  assert.is(arena.take(192), b! + 64, 'then its rest')
  arena.give(a!)
  arena.give(c!)
  assert.is(arena.take(128), c, 'too small places are passed over')
  assert.is(arena.take(64), a)
})

test('neighbours are joined, whichever goes first', () => {
  for (const order of [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]]) {
    const arena = createArena(memory(), 1e6)
    const places = [64, 128, 192].map(bytes => arena.take(bytes))
    const after = arena.take(64)
    for (const i of order) arena.give(places[i]!)
    assert.is(arena.take(384), places[0], `${order}`)
    arena.give(after)
    arena.give(places[0]!)
    assert.is(arena.taken(), 0)
    assert.is(arena.take(4096), places[0], `${order}: the end moves back`)
  }
})

test('what is taken never overlaps, and the count of bytes is kept', () => {
  const arena = createArena(memory(), 1e7), next = random(5)
  const live = new Map<number, number>()
  for (let i = 0; i < 3000; i++) {
    if (live.size && next() < 0.5) {
      const address = [...live.keys()][Math.floor(next() * live.size)]!
      arena.give(address)
      live.delete(address)
      continue
    }
    const bytes = 1 + Math.floor(next() * 1000)
    const address = arena.take(bytes)
    assert.is(address % 64, 0)
    for (const [other, size] of live) assert.ok(address + bytes <= other || other + size <= address, `${address} overlaps ${other}`)
    live.set(address, Math.ceil(bytes / 64) * 64)
    assert.is(arena.taken(), [...live.values()].reduce((a, b) => a + b, 0))
  }
  for (const address of live.keys()) arena.give(address)
  assert.is(arena.taken(), 0)
  assert.is(arena.take(64), 64, 'nothing is left in pieces')
})

test('too much is refused with both numbers, and leaves the rest as it was', () => {
  for (const arena of [createArena(memory(), 2_000_000), createArena(memory(1_900_000), 2_000_000)]) {
    const first = arena.take(1_500_000)
    try {
      arena.take(1_000_000)
      assert.unreachable()
    } catch (error) {
      assert.instance(error, RangeError)
      assert.is((error as Error & { code?: string }).code, 'memory')
      assert.is((error as Error).message, 'memory must stay within 2.0 MB, got 2.5 MB with 1.0 MB more')
    }
    assert.is(arena.taken(), 1_500_032)
    arena.give(first)
    assert.is(arena.take(1_000_000), first)
  }
})

test('only what was taken is given back', () => {
  const arena = createArena(memory(), 1e6), address = arena.take(10)
  assert.throws(() => arena.give(address + 1), /address must be one that was taken, got 65/)
  arena.give(address)
  assert.throws(() => arena.give(address), /address must be one that was taken, got 64/)
})

test('scratch that could not grow is not used any more', async () => {
  const k = await wasm({ limit: 4 << 20 })
  const rank = async (n: number): Promise<void> => {
    const scores = k.tensor([n], 'f32'), rows = k.tensor([4], 'u32'), counts = k.tensor([1], 'u32'), keep = k.tensor([1], 'u32')
    k.upload(keep, [4])
    await k.once({ tokens: 0, position: 0 }, () => k.topk({ rows, counts, scores, keep, sets: 1, stride: n, tokens: n, first: 0, last: 0, capacity: 4 }))
    k.free(scores, rows, counts, keep)
  }
  await rank(20_000)
  const most = k.tensor([2 << 20], 'u8')
  try {
    await rank(300_000)
    assert.unreachable()
  } catch (error) {
    assert.is((error as { code?: string }).code, 'memory')
  }
  const mine = k.tensor([20_000], 'f32')
  k.upload(mine, new Float32Array(20_000).fill(7))
  await rank(20_000)
  assert.ok((await k.read(mine)).every(x => x === 7))
  k.free(most, mine)
})

test.run()
