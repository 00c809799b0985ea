import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { load } from '../../src/load.ts'
import { parseMethod, methods } from '../../src/methods/index.ts'
import { backends } from '../backends.ts'
import { tiny } from '../models.ts'
import { near } from '../near.ts'
import { golden, run } from './helpers.ts'

interface Case { length: number; prompt: string; question: string; expected: string; ids?: number[]; torch_ids: number[]; first_logits?: number[] }
const { cases } = golden<{ cases: Case[] }>('tiny/reference.json')

const document = 'The access code of the quiet harbour is 48213. The grey station opened in 1874. A stranger walked along the river as usual. ' +
  'Mara keeps the brass key in the northern tower. Children returned to an old song. The keeper of the old mill is Tolin. ' +
  'The access code of the quiet tower is 90817. People counted 47 birds during the summer.'

const stories = [
  { prompt: 'What is the access code of the quiet harbour?', text: '48213.' },
  { prompt: 'When did the grey station open?', text: '1874.' },
  { prompt: 'Where does Mara keep the brass key?', text: 'In the northern tower.' },
  { prompt: 'Who is the keeper of the old mill?', text: 'It is Tolin.' },
]

/** Measured: 6e-5 and 2e-3. The goldens have four digits. */
const logitTolerance = { exact: 2e-4, fast: 1e-2 }

// The reference computes one number at a time: two questions are enough for it.
for (const backend of [...backends, 'reference'] as ('wasm' | 'reference')[])
  for (const precision of ['fast', 'exact'] as const) {
    test(`${backend}, ${precision}: a short document answers`, async () => {
      const model = await load(tiny, { backend, precision })
      for (const { prompt, text } of backend === 'reference' ? stories.slice(2) : stories) {
        const story = model.generate({ document, prompt }, { method: methods.full() })
        assert.is(await story.all(), text)
        assert.is(story.stopReason, 'eos')
        assert.is(story.ledger?.tokensHeld, story.promptTokens + story.tokens.length - 1)
      }
      model.free()
    })
  }

for (const precision of ['fast', 'exact'] as const)
  test(`${precision}: tokens and logits of PyTorch at 400 and 2000 tokens`, async () => {
    const model = await load(tiny, { precision })
    for (const c of cases) {
      const ids = model.encode({ prompt: c.prompt, raw: true })
      assert.is(ids.length, c.length)
      if (c.ids) assert.equal(ids, c.ids)
      const { tokens, logits } = await run(model, { ids, n: c.torch_ids.length })
      assert.equal(tokens, c.torch_ids, c.question)
      if (c.first_logits) near(logits, c.first_logits, logitTolerance[precision], `${c.length} tokens: first logits`)
    }
    model.free()
  })

for (const name of Object.keys(methods))
  test(`${name} with a budget for everything tells what full tells`, async () => {
    const model = await load(tiny)
    for (const { prompt, text } of stories) {
      const options = { budget: 1024, maxTokens: 32 }
      const auto = model.generate({ document, prompt }, { ...options, method: parseMethod(name) })
      assert.is(await auto.all(), text)
      // Without a budget and with every row kept there is nothing to fall back from.
      const { budget, evicts } = parseMethod(name)
      assert.is(auto.ledger?.dense, budget !== 'none' || evicts)
      if (name === 'full') continue
      const own = model.generate({ document, prompt }, { ...options, method: parseMethod(`${name},dense=never`) })
      assert.is(await own.all(), text, 'dense=never')
      assert.is(own.ledger?.dense, false)
      assert.is(own.ledger?.rowsReadPerStep, auto.ledger?.rowsReadPerStep)
    }
    model.free()
  })

test.run()
