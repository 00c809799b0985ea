import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { Policy } from '../../src/cache/policy.ts'
import { load } from '../../src/load.ts'
import { chunkkv } from '../../src/methods/chunkkv.ts'
import { full } from '../../src/methods/full.ts'
import { rocketkv } from '../../src/methods/rocketkv.ts'
import { snapkv } from '../../src/methods/snapkv.ts'
import type { Asked } from '../../src/model/reading.ts'
import { withSmollm } from '../models.ts'
import { golden } from './helpers.ts'

interface Result { output: string; correct: boolean }
interface Sample { len: number; i: number; answer: string; text: string; full: Result; methods: Record<string, Result> }
const { samples } = golden<{ samples: Sample[] }>('quality/needle.json')
const rocket = golden<{ samples: (Result & { len: number; i: number; t: number; N: number })[] }>('quality/needle_rocketkv.json').samples

/** Most tokens of an answer: the goldens' N. */
const answer = 24

/** The settings of the goldens' presses. */
const presses: Record<string, Policy> = {
  snapkv: snapkv({ variant: 'kvpress', window: 32, kernel: 5 }),
  chunkkv: chunkkv({ variant: 'kvpress', window: 32, kernel: 5, chunk: 10 }),
}

/** Answers that may differ from the goldens' in rightness: float32 goldens, i16 here, and digits whose two best logits are close. */
const allowance = 1

withSmollm(test, 'needles, fast: rocketkv finds all of them, snapkv and chunkkv as many as in kvpress', async path => {
  const model = await load(path)
  const told = async (asked: Asked, policy: Policy, budget: number): Promise<string> => {
    const sequence = await asked.answer({ policy, budget, answer })
    const tokens: number[] = []
    while (tokens.length < answer && !model.tokenizer.endTokens.has(tokens.at(-1)!)) tokens.push(await sequence.next())
    sequence.free()
    return model.tokenizer.decode(tokens)
  }
  const other: string[] = []
  let same = 0
  for (const { len, i, answer: number, text, full: whole, methods } of samples) {
    const ids = model.encode({ prompt: text, raw: true }), what = `${len} tokens, sample ${i}`
    const reading = await model.read({ ids }), asked = await reading.ask(ids)
    assert.is((await told(asked, full(), 1)).includes(number), whole.correct, `${what}: full`)
    for (const { t, output, correct } of rocket.filter(r => r.len === len && r.i === i)) {
      const got = await told(asked, rocketkv(), t)
      assert.ok(got.includes(number) || !correct, `${what}: rocketkv, budget ${t}: ${got}, golden ${output}`)
    }
    for (const [name, policy] of Object.entries(presses))
      for (const budget of [256, 512]) {
        const { output, correct } = methods[`${name}@${budget}`]!
        const got = await told(asked, policy, budget)
        if (got === output) same++
        if (got.includes(number) !== correct) other.push(`${what}: ${name}, budget ${budget}: ${got}, golden ${output}`)
      }
    asked.free()
    reading.free()
  }
  if (process.env['MEASURE']) console.log(`${same} of ${samples.length * 4} answers of snapkv and chunkkv are the goldens' word for word`)
  assert.ok(other.length <= allowance, other.join('\n'))
  model.free()
})

test.run()
