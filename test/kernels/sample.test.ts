import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { normal, random } from '../cases.ts'
import { compare, type Bench } from './harness.ts'

const test = suite('sample')

interface Options {
  readonly temperature?: number
  readonly topK?: number
  readonly topP?: number
  readonly minP?: number
  readonly penalty?: number
  readonly history?: readonly number[]
  readonly seed?: readonly [number, number]
  readonly draws?: number
}

/** The ids of `draws` draws in a row. */
async function ids(b: Bench, logits: ArrayLike<number>, o: Options): Promise<number[]> {
  const n = logits.length
  const from = b.tensor([n], 'f32', logits), out = b.tensor([1], 'u32'), state = b.tensor([2], 'u32', o.seed ?? [1, 0])
  const history = o.history ? b.tensor([o.history.length], 'u32', o.history) : null
  const historyCount = o.history ? b.tensor([1], 'u32', [o.history.length]) : null
  const program = b.k.record(() => b.k.sample({ out, logits: from, n, history, historyCount, state,
    temperature: o.temperature ?? 1, topK: o.topK ?? 0, topP: o.topP ?? 1, minP: o.minP ?? 0, penalty: o.penalty ?? 1 }))
  const drawn: number[] = []
  for (let i = 0; i < (o.draws ?? 1); i++) {
    await b.k.run(program, { tokens: 1, position: 0 })
    drawn.push((await b.k.read(out))[0]!)
  }
  assert.equal(Array.from(await b.k.read(from)).map(String), Array.from(Float32Array.from(logits)).map(String), 'logits stay')
  b.k.release(program)
  return drawn
}

async function check(logits: ArrayLike<number>, o: Options, expected?: readonly number[]): Promise<void> {
  await compare(`${logits.length} logits, ${JSON.stringify(o)}`, async b => {
    const data = await ids(b, logits, o)
    if (expected) assert.equal(data, expected)
    return { ids: { data, tolerance: 0 } }
  })
}

test('temperature 0 takes the first maximum', async () => {
  await check([1], { temperature: 0 }, [0])
  await check([1, 3, 2, 3], { temperature: 0 }, [1])
  await check([-5, -5, -5], { temperature: 0 }, [0])
  await check([NaN, -Infinity, -3, NaN, -2], { temperature: 0 }, [4])
  await check([NaN, NaN], { temperature: 0 }, [0])
  await check([0, Infinity, Infinity], { temperature: 0 }, [1])
  await check([NaN, NaN, -Infinity, NaN, NaN], { temperature: 0 }, [0])
  await check([1, NaN, -2, 0, 7, 3, 7, NaN, 7], { temperature: 0 }, [4])
  await check([1, 2, 3, 4, NaN, -Infinity, Infinity, Infinity, Infinity], { temperature: 0 }, [6])
})

test('draws what the reference draws', async () => {
  for (const n of [1, 2, 3, 7, 64, 1000]) {
    const logits = normal(n, n).map(x => 3 * x)
    for (const o of [{}, { topK: 1 }, { topK: 5 }, { topK: n }, { topP: 0.5 }, { topP: 0.95, topK: 40 }, { minP: 0.1 },
      { topP: 0.9, minP: 0.05 }, { topK: 40, topP: 0.95, minP: 0.05, temperature: 0.8 }, { temperature: 2, penalty: 1.3, history: [0, 0, 1, n, n - 1] }])
      await check(logits, { ...o, draws: 20, seed: [n, 7] })
  }
})

test('top-p among many, flat and steep, with ties', async () => {
  const n = 5000, next = random(3)
  for (const [what, logits] of [['steep', normal(n, 5).map(x => 6 * x)], ['flat', normal(n, 6)], ['ties', Float32Array.from({ length: n }, () => Math.floor(next() * 4))], ['equal', new Float32Array(n)]] as const)
    for (const o of [{ topP: 0.9 }, { topP: 0.999 }, { topP: 0.6, minP: 0.2 }, { topK: 100 }, { topK: 1500, topP: 0.95 }, { topK: n - 1 }])
      await compare(`${what}, ${JSON.stringify(o)}`, async b => ({ ids: { data: await ids(b, logits, { ...o, draws: 6, seed: [11, 3] }), tolerance: 0 } }))
})

test('ties in top-k keep the lower ids', async () => {
  await check([1, 2, 2, 2, 1, 2], { topK: 2, draws: 40 })
  await compare('ties', async b => {
    assert.equal([...new Set(await ids(b, [1, 2, 2, 2, 1, 2], { topK: 2, draws: 40 }))].sort(), [1, 2])
    return {}
  })
})

test('top-p keeps the smallest set that holds the share', async () => {
  // Weights 4, 4, 4, 4 of 16 and next to nothing: half of them is two ids.
  await compare('half', async b => {
    assert.equal([...new Set(await ids(b, [5, -90, 5, 5, 5], { topP: 0.5, draws: 40 }))].sort(), [0, 2])
    assert.equal([...new Set(await ids(b, [5, -90, 5, 5, 5], { topP: 0, draws: 10 }))], [0])
    return {}
  })
})

test('min-p 1 and above keeps the best', async () => {
  await check([1, 4, 4, 2], { minP: 1, draws: 20 })
  await check([1, 2, 4, 3], { minP: 5 }, [2])
})

test('the penalty divides positive and multiplies negative logits, once an id', async () => {
  // Penalised once: 6 / 2 = 3, above 2; twice it would be 1.5 and lose.
  await check([6, 2, -90], { penalty: 2, history: [0, 0, 0], topK: 1 }, [0])
  await check([3, 2, -90], { penalty: 2, history: [0], topK: 1 }, [1])
  await check([-3, -2], { penalty: 2, history: [1], topK: 1 }, [0])
})

test('logits that are no numbers end, too', async () => {
  for (const bad of [NaN, Infinity, -Infinity])
    for (const o of [{}, { topK: 2 }, { topP: 0.5 }, { minP: 0.5 }, { temperature: 1e-30 }, { temperature: 1e30 }]) {
      await check([bad, bad, bad], { ...o, draws: 5 })
      await check([1, bad, 2, bad], { ...o, draws: 5, penalty: 1.5, history: [1] })
    }
  await check([1, 2, 3], { penalty: 0, history: [0, 1, 2], draws: 3 })
})

test('the generator is SplitMix64', async () => {
  // Published outputs for seed 1234567. Equal logits: the id is the fraction's upper 16 bits.
  const outputs = [6457827717110365317n, 3203168211198807973n, 9817491932198370423n, 4593380528125082431n, 16408922859458223821n]
  await check(new Float32Array(65536), { seed: [1234567, 0], draws: 5 }, outputs.map(x => Number(x >> 48n)))
})

test('draws follow the weights', async () => {
  await compare('shares', async b => {
    const drawn = await ids(b, [Math.log(1), Math.log(2), Math.log(5)], { draws: 8000 })
    const shares = [0, 1, 2].map(id => drawn.filter(x => x === id).length / 8000)
    // Four standard deviations of a share of 8000 draws are below 0.023.
    ;[0.125, 0.25, 0.625].forEach((p, id) => assert.ok(Math.abs(shares[id]! - p) < 0.023, `share of ${id} is ${shares[id]}, expected ${p}`))
    return {}
  })
})

test.run()
