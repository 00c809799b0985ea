import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { Kernels } from '../../src/kernels/index.ts'
import { createReading, type Asked, type Reading } from '../../src/model/reading.ts'
import { createSequence, type Sequence } from '../../src/model/sequence.ts'
import { draw, llama, policyOf, someIds, working } from './helpers.ts'

// Memory that runs out at any moment: all that was taken can be given back.

/** Kernels whose `at`-th place from now on is refused. */
function refusing(k: Kernels): { kernels: Kernels; refuse(at: number): void } {
  let left = Infinity
  return {
    kernels: { ...k, tensor(shape, type) {
      if (--left < 0) throw Object.assign(new RangeError('no more'), { code: 'memory' })
      return k.tensor(shape, type)
    } },
    refuse(at) { left = at },
  }
}

/** Runs `life` with every one of its places refused in turn; all must be as before after each. Returns how many there were. */
async function everyRefusal(k: Kernels, refuse: (at: number) => void, life: () => Promise<void>): Promise<number> {
  refuse(Infinity)
  await life() // from here on scratch is as large as it gets
  const { used } = k.memory()
  for (let at = 0; ; at++) {
    refuse(at)
    let over = true
    await life().catch((error: Error & { code?: string }) => {
      assert.is(error.code, 'memory', error.message)
      over = false
    })
    assert.is(k.memory().used, used, `place ${at}`)
    if (over) return at
  }
}

for (const row of working.filter(({ method }) => ['full', 'rocketkv', 'rocketkv-mt', 'sparq', 'chunkkv,reuse=2'].includes(method)))
  test(`${row.method}: a sequence, its fork and its second turn leave nothing`, async () => {
    const model = await llama({ layers: 2 }), { kernels, refuse } = refusing(model.kernels)
    const network = { ...model.network, k: kernels }, options = { policy: policyOf(row), budget: row.budget, answer: 2, kv: 'i16', precision: 'fast', propagate: 'fastkv,layer=0,rate=0.6' } as const
    const places = await everyRefusal(model.kernels, refuse, async () => {
      const sequences: Sequence[] = []
      try {
        const sequence = createSequence(network, options)
        sequences.push(sequence)
        await sequence.prefill(someIds(150))
        await draw(sequence, 2)
        const fork = sequence.fork()
        sequences.push(fork)
        await fork.prefill(someIds(70, 2))
        await draw(fork, 2)
      } finally {
        for (const sequence of sequences) sequence.free()
      }
    })
    assert.ok(places > 60, `${places} places`)
    model.free()
  })

test('a reading, a question and its answers leave nothing', async () => {
  const model = await llama({ layers: 2 }), { kernels, refuse } = refusing(model.kernels), network = { ...model.network, k: kernels }
  const places = await everyRefusal(model.kernels, refuse, async () => {
    let reading: Reading | undefined, asked: Asked | undefined, sequence: Sequence | undefined
    try {
      reading = await createReading(network, { ids: someIds(150), kv: 'i16', precision: 'fast' })
      asked = await reading.ask([...someIds(150), 1, 2, 3])
      for (const row of working.slice(0, 3)) {
        sequence = await asked.answer({ policy: policyOf(row), budget: row.budget, answer: 2 })
        await draw(sequence, 2)
        sequence.free()
      }
    } finally {
      sequence?.free()
      asked?.free()
      reading?.free()
    }
  })
  assert.ok(places > 60, `${places} places`)
  model.free()
})

test.run()
