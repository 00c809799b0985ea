// Conversations: a turn reads what it adds, and answers as one pass over everything would.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { load, type Model } from '../../src/load.ts'
import { full } from '../../src/methods/full.ts'
import type { Conversation, Turn } from '../../src/model/conversation.ts'
import { randomLlama } from '../gguf/write.ts'
import { withMetadata } from '../gguf/split.ts'
import { pieceTypes } from '../tokenizer/llamacpp.ts'
import { withSmollm } from '../models.ts'
import { llama, run } from './helpers.ts'

const greedy = { temperature: 0, maxTokens: 12 }
const suite = Object.assign((name: string, body: () => void | Promise<void>) => test(name, body), { skip: (name: string) => test.skip(name) })

async function answered(turn: Turn): Promise<Turn> {
  let text = ''
  for await (const piece of turn) text += piece
  assert.is(text, turn.text)
  return turn
}
const told = (conversation: Conversation, content: string): Promise<Turn> => answered(conversation.say(content))

/** The greedy answer of one pass over `ids`. */
async function afresh(model: Model, ids: readonly number[], n: number): Promise<number[]> {
  return (await run(model, { ids, n, policy: full() })).tokens
}

test('each turn reads what it adds and answers as one pass over all would', async () => {
  const model = await llama(), conversation = model.chat({ ...greedy, method: full(), system: 'Be brief.' })
  const ids: number[] = []
  let before = ''
  for (const question of ['one two three', 'four', 'five six', 'seven']) {
    const turn = await told(conversation, question)
    const opening = before ? '<|im_end|>\n' : '<|im_start|>system\nBe brief.<|im_end|>\n'
    const added = model.encode({ raw: true, prompt: `${opening}<|im_start|>user\n${question}<|im_end|>\n<|im_start|>assistant\n` })
    ids.push(...added)
    assert.equal([turn.promptTokens, turn.readTokens, turn.again, turn.stopReason], [ids.length, added.length, null, 'length'])
    assert.equal(turn.tokens, await afresh(model, ids, greedy.maxTokens), question)
    ids.push(...turn.tokens)
    // The last token that was drawn is read with the next turn.
    assert.is(turn.ledger!.tokensSeen, ids.length - 1)
    before = turn.text
  }
  assert.equal(conversation.messages.map(m => m.role), ['system', ...Array.from({ length: 4 }, () => ['user', 'assistant']).flat()])
  assert.is(conversation.messages.at(-1)!.content, before)
  conversation.free()
  model.free()
})

test('RocketKV-MT holds every turn', async () => {
  const model = await llama(), conversation = model.chat({ ...greedy, budget: 64 })
  let seen = 0
  for (const words of [300, 40, 200]) {
    const turn = await told(conversation, 'and so on '.repeat(words / 4))
    seen = turn.promptTokens + turn.tokens.length - 1
    assert.equal([turn.ledger!.tokensSeen, turn.ledger!.tokensHeld, turn.ledger!.dense], [seen, seen, false])
    assert.ok(turn.ledger!.rowsReadPerStep < seen / 2)
  }
  assert.equal((await conversation.ledger())!.tokensSeen, seen)
  conversation.reset()
  assert.is(await conversation.ledger(), null)
  assert.equal(conversation.messages, [])
  const { again, readTokens, promptTokens } = await told(conversation, 'hi')
  assert.equal([again, readTokens], [null, promptTokens])
  conversation.free()
  model.free()
})

/** Shows only the last two messages in whole, as templates do that drop what was thought. */
const forgetful = `{% for m in messages %}<|im_start|>{{ m['role'] }}\n{% if m['role'] == 'user' or loop.last %}{{ m['content'] }}{% endif %}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}`

test('a template that rewrites earlier turns: all is read again, and it says so', async () => {
  const model = await llama({ template: forgetful }), conversation = model.chat({ ...greedy, method: full() })
  assert.is((await told(conversation, 'one')).again, null)
  const turn = await told(conversation, 'two')
  const ids = model.encode({ messages: [{ role: 'user', content: 'one' }, { role: 'assistant', content: 'x' }, { role: 'user', content: 'two' }] })
  assert.equal([turn.again, turn.readTokens, turn.promptTokens], ['rewritten', ids.length, ids.length])
  assert.equal(turn.tokens, await afresh(model, ids, greedy.maxTokens))
  conversation.free()
  model.free()
})

test('space at the ends of an answer, which templates trim, is no rewriting', async () => {
  const trimming = `{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] | trim }}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}`
  const model = await llama({ template: trimming })
  // Seeds until an answer has space at an end: of 66 kinds of pieces some have.
  for (let seed = 0; ; seed++) {
    assert.ok(seed < 200, 'no answer with space at its ends')
    const conversation = model.chat({ maxTokens: 12, temperature: 2, topK: 0, topP: 1, minP: 0, seed, method: full() })
    const { text } = await told(conversation, 'one')
    const spaced = text !== text.trim() && text.trim() !== ''
    if (spaced) {
      const turn = await told(conversation, 'two')
      assert.equal([turn.again, turn.readTokens < turn.promptTokens], [null, true])
    }
    conversation.free()
    if (spaced) break
  }
  model.free()
})

test('broken off while it answers: what was said stays', async () => {
  const model = await llama(), conversation = model.chat({ ...greedy, maxTokens: 500, method: full() })
  const stop = new AbortController()
  const first = conversation.say('one two', { signal: stop.signal })
  let pieces = 0
  for await (const _ of first) if (++pieces === 5) stop.abort()
  assert.equal([first.stopReason, conversation.messages.length], ['abort', 2])
  const turn = await told(conversation, 'three')
  assert.is(turn.again, null)
  const rest = model.encode({ raw: true, prompt: '<|im_end|>\n<|im_start|>user\nthree<|im_end|>\n<|im_start|>assistant\n' })
  assert.equal([turn.readTokens, turn.promptTokens], [rest.length, first.promptTokens + first.tokens.length + rest.length])
  assert.is(first.tokens.length < 20, true)
  conversation.free()
  model.free()
})

test('broken off while it reads: it was never said', async () => {
  const model = await llama(), conversation = model.chat({ ...greedy, method: full() })
  await told(conversation, 'one')
  const used = model.kernels.memory().used
  const stop = new AbortController()
  const turn = await answered(conversation.say('word '.repeat(300), { signal: stop.signal, progress: () => stop.abort() }))
  assert.equal([turn.stopReason, turn.text, conversation.messages.length], ['abort', '', 2])
  assert.ok(model.kernels.memory().used < used, 'its rows are given back')
  const next = await told(conversation, 'two')
  assert.equal([next.again, next.readTokens], ['broken off', next.promptTokens])
  conversation.free()
  model.free()
})

test('what does not fit leaves everything as it was', async () => {
  const model = await llama({ context: 256 }), conversation = model.chat({ ...greedy, method: full() })
  await told(conversation, 'one')
  assert.throws(() => conversation.say('word '.repeat(300)), /must fit the context of 256 tokens/)
  const turn = await told(conversation, 'two')
  assert.equal([turn.again, turn.readTokens < turn.promptTokens, conversation.messages.length], [null, true, 4])
  conversation.free()
  model.free()
})

test('an answer gets what the context leaves', async () => {
  const model = await llama({ context: 256 }), conversation = model.chat({ temperature: 0, maxTokens: 200, ignoreEos: true, method: full() })
  const lengths: number[] = []
  for (const question of ['one', 'two']) {
    const { promptTokens, tokens } = await told(conversation, question)
    lengths.push(tokens.length)
    assert.ok(promptTokens + tokens.length <= 256)
  }
  assert.is(lengths[0], 200)
  assert.ok(lengths[1]! < 40)
  assert.throws(() => conversation.say('three'), /must fit the context of 256 tokens/)
  conversation.free()
  model.free()
})

test('an end of turn other than the template writes is taken back', async () => {
  const model = await llama(), other = model.tokenizer.encode('<|endoftext|>')[0]!
  for (let seed = 0; ; seed++) {
    assert.ok(seed < 50, 'no answer ended with <|endoftext|>')
    const conversation = model.chat({ temperature: 3, topK: 0, topP: 1, minP: 0, maxTokens: 1000, seed, method: full() })
    const first = await told(conversation, 'one'), ended = first.tokens.at(-1) === other
    if (ended) {
      assert.is(first.stopReason, 'eos')
      const turn = conversation.say('two'), rest = '<|im_end|>\n<|im_start|>user\ntwo<|im_end|>\n<|im_start|>assistant\n'
      await answered(turn)
      const { length } = model.encode({ raw: true, prompt: rest })
      assert.equal([turn.again, turn.readTokens, turn.promptTokens], [null, length, first.promptTokens + first.tokens.length - 1 + length])
      assert.is(turn.ledger!.tokensSeen, turn.promptTokens + turn.tokens.length - 1)
    }
    conversation.free()
    if (ended) break
  }
  model.free()
})

test('a SentencePiece vocabulary: the space before a text is told neither way', async () => {
  const pieces = [...'▁abcdefghijklmnopqrstuvwxyz'].map((letter, i): [string, number] => [letter, -i])
  const { tokens, types, scores } = pieceTypes(pieces)
  const template = `{{ bos_token }}{% for m in messages %}{% if m.role == 'user' %}[INST] {{ m.content }} [/INST]{% else %} {{ m.content | trim }}{{ eos_token }}{% endif %}{% endfor %}`
  const bytes = await withMetadata(randomLlama({ layers: 1, heads: 2, kvHeads: 1, headDim: 16, dim: 32, hidden: 32, vocab: 320, context: 512, type: 'F32', tied: true, seed: 4 }), {
    'tokenizer.ggml.model': 'llama', 'tokenizer.ggml.pre': 'default', 'tokenizer.ggml.tokens': tokens, 'tokenizer.ggml.token_type': types, 'tokenizer.ggml.scores': scores,
    'tokenizer.ggml.merges': null, 'tokenizer.ggml.add_bos_token': null, 'tokenizer.chat_template': template,
  })
  const model = await load(bytes), conversation = model.chat({ ...greedy, method: full() })
  assert.equal(model.encode('hi').map(model.tokenizer.token).slice(0, 4), ['<s>', '▁', '<0x5B>', '<0x49>'], 'BOS once')
  const first = await told(conversation, 'hi'), second = await told(conversation, 'again')
  assert.equal([first.again, second.again, second.readTokens < second.promptTokens], [null, null, true])
  conversation.free()
  model.free()
})

withSmollm(suite, 'the 135M model remembers a name', async path => {
  const model = await load(path), conversation = model.chat({ temperature: 0, maxTokens: 30 })
  await told(conversation, 'My name is Zanzibar. Say hello.')
  const turn = await told(conversation, 'What is my name?')
  assert.match(turn.text, /Zanzibar/)
  assert.ok(turn.readTokens < 20 && turn.promptTokens > 60)
  conversation.free()
  model.free()
})

test.run()
