import { gguf } from '@huggingface/gguf'
import { Tokenizer } from '@huggingface/tokenizers'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { type Fact, makeDocument, makeQuestions } from '../../src/demo/corpus.ts'
import { generator } from '../../src/demo/random.ts'
import { tiny } from '../models.ts'

/** Counts pieces of words, digits and marks: adds up over sentences, as the embedded model's tokenizer does. */
const pieces = (text: string) => text.match(/ ?[a-z]{1,5}|\d|[.?!]/gi)?.length ?? 0

/** The count of tokens which the vocabulary and merges inside the embedded model give. */
async function embeddedCount(): Promise<(text: string) => number> {
  const { metadata } = await gguf(tiny, { allowLocalFile: true })
  const values = metadata as unknown as Record<string, string[]>
  const vocab = Object.fromEntries((values['tokenizer.ggml.tokens'] ?? []).map((token, id) => [token, id]))
  const byteLevel = { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: true }
  const tokenizer = new Tokenizer({
    version: '1.0', truncation: null, padding: null, added_tokens: [], normalizer: null, post_processor: null,
    pre_tokenizer: { type: 'Sequence', pretokenizers: [{ type: 'Digits', individual_digits: true }, byteLevel] },
    decoder: byteLevel,
    model: { type: 'BPE', vocab, merges: values['tokenizer.ggml.merges'] ?? [] }
  }, {})
  return text => tokenizer.encode(text).ids.length
}

const times = (text: string, part: string) => text.split(part).length - 1
const sentencesOf = (text: string) => text.split(/(?<=[.?!]) /)

/** The words of a fact's sentence which its question names: where they stand, the answer stands. */
function asked(fact: Fact): string {
  const [, first = '', second = ''] = {
    code: /^What is the (.*) of (.*)\?$/, year: /^When did (.*) open\?$/, keep: /^Where does (.*) keep the (.*)\?$/,
    person: /^Who is the (.*) of (.*)\?$/, quote: /^Continue: \.\.\. (.*)$/
  }[fact.kind].exec(fact.question) ?? []
  return {
    code: `the ${first} of ${second} is `, year: `${first} opened in `, keep: `${first} keeps the ${second} in `,
    person: `the ${first} of ${second} is `, quote: first
  }[fact.kind].toLowerCase()
}

const seeds = Array.from({ length: 12 }, (_, i) => i)
const documents = seeds.map(seed => makeDocument({ tokens: 6000, seed, facts: 60, count: pieces }))

test('the generator gives its own first values, in range, from every part of it', () => {
  const r = generator(7)
  const again = generator(7)
  const values = Array.from({ length: 1000 }, () => r.real())
  assert.equal(values, Array.from({ length: 1000 }, () => again.real()))
  assert.ok(values.every(value => value >= 0 && value < 1))
  for (let part = 0; part < 10; part++) {
    const share = values.filter(value => Math.floor(value * 10) === part).length
    assert.ok(share > 60 && share < 140, `${share} of 1000 in part ${part}`)
  }
  const dice = new Set(Array.from({ length: 200 }, () => r.int(1, 6)))
  assert.equal([...dice].sort(), [1, 2, 3, 4, 5, 6])
})

test('sample and shuffle keep what they are given', () => {
  const r = generator(0)
  const list = Array.from({ length: 50 }, (_, i) => i)
  const sample = r.sample(list, 20)
  assert.is(new Set(sample).size, 20)
  const shuffled = [...list]
  r.shuffle(shuffled)
  assert.not.equal(shuffled, list)
  assert.equal(shuffled.sort((a, b) => a - b), list)
  assert.equal(r.sample(list, 50).sort((a, b) => a - b), list)
})

test('the generator refuses what it cannot start from or draw', () => {
  assert.throws(() => generator(-1), /seed must be a whole number from 0 to 4294967295, got -1/)
  assert.throws(() => generator(1.5), /got 1.5/)
  assert.throws(() => generator(2 ** 32), /got 4294967296/)
  assert.throws(() => generator(1).choice([]), /at least 1 entry, got 0/)
  assert.throws(() => generator(1).sample([1, 2], 3), /at most 2, got 3/)
})

test('a seed gives one text, another seed another', () => {
  assert.equal(makeDocument({ tokens: 6000, seed: 3, facts: 60, count: pieces }), documents[3])
  assert.is(new Set(documents.map(document => document.text)).size, documents.length)
  const [a, b] = [documents[0], documents[1]].map(document => new Set(sentencesOf(document?.text ?? '')))
  const shared = [...a ?? []].filter(sentence => b?.has(sentence))
  assert.ok(shared.length < 20, `${shared.length} sentences in both`)
})

test('every fact is stated once, and its question names one place of the text', () => {
  for (const { text, facts } of documents) {
    assert.is(facts.length, 60)
    assert.is(new Set(facts.map(fact => fact.question)).size, 60)
    const small = text.toLowerCase()
    for (const fact of facts) {
      assert.is(times(text, fact.sentence), 1, fact.sentence)
      assert.is(times(small, asked(fact)), 1, fact.question)
      const answer = fact.kind === 'person' ? fact.answer.slice('It is '.length)
        : fact.kind === 'quote' ? fact.answer.slice('... '.length) : fact.answer
      assert.ok(fact.sentence.toLowerCase().endsWith(answer.toLowerCase()), fact.sentence)
    }
  }
})

test('facts are listed in the order of the text, of every kind, many alike', () => {
  for (const { text, facts } of documents) {
    const places = facts.map(fact => text.indexOf(fact.sentence))
    assert.equal(places, [...places].sort((a, b) => a - b))
    assert.is(new Set(facts.map(fact => fact.kind)).size, 5)
  }
  const codeWords = documents[0]?.facts.filter(fact => fact.kind === 'code').map(fact => fact.question.split(' ')) ?? []
  const alike = codeWords.filter((one, i) => codeWords.some((other, j) =>
    i !== j && one.filter((word, at) => word !== other[at]).length === 1))
  assert.ok(alike.length * 3 > codeWords.length, `${alike.length} of ${codeWords.length} differ from another in one word`)
})

test('filler states no fact', () => {
  for (const { text, facts } of documents) {
    const stated = new Set(facts.map(fact => fact.sentence))
    const filler = sentencesOf(text).filter(sentence => !stated.has(sentence))
    assert.ok(filler.length > 100)
    for (const sentence of filler)
      assert.not.match(sentence, /opened in|keeps the|\bis \d+\.|\bis [A-Z]|\b(code|number) of\b/)
  }
})

for (const tokens of [1024, 2048, 4096, 8192, 16384, 32768])
  test(`a text of ${tokens} tokens is at most three below, with the usual count of facts`, () => {
    const document = makeDocument({ tokens, seed: tokens, count: pieces })
    assert.is(document.tokens, pieces(document.text))
    assert.ok(document.tokens <= tokens && document.tokens >= tokens - 3, `${document.tokens}`)
    assert.is(document.facts.length, Math.min(200, Math.floor(tokens / 100)))
  })

test('a count that rounds each sentence up is met too', () => {
  const count = (text: string) => Math.ceil(text.length / 4)
  const { text, tokens } = makeDocument({ tokens: 8192, seed: 1, count })
  assert.is(tokens, count(text))
  assert.ok(tokens <= 8192 && tokens >= 8189, `${tokens}`)
})

test('32768 tokens take under a second apart from counting', () => {
  let counting = 0
  const start = performance.now()
  makeDocument({
    tokens: 32768, seed: 1, count(text) {
      const before = performance.now()
      const tokens = pieces(text)
      counting += performance.now() - before
      return tokens
    }
  })
  const own = performance.now() - start - counting
  assert.ok(own < 1000, `${own} ms`)
})

test('the embedded model\'s own tokenizer counts exactly what was asked for, or up to three less', async () => {
  const count = await embeddedCount()
  assert.is(count('The access code of the quiet harbour is 48213.'), 15)
  for (const tokens of [1024, 4096, 16384]) {
    const document = makeDocument({ tokens, seed: 1, count })
    assert.is(document.tokens, count(document.text))
    assert.ok(document.tokens <= tokens && document.tokens >= tokens - 3, `${document.tokens} of ${tokens}`)
  }
})

test('questions are different facts, one from each part of the text, without quotes', () => {
  for (const document of documents) {
    const able = document.facts.filter(fact => fact.kind !== 'quote')
    for (const n of [1, 12, 24, able.length]) {
      const questions = makeQuestions(document, n, 5)
      assert.is(new Set(questions).size, n)
      const parts = questions.map(fact => able.indexOf(fact)).sort((a, b) => a - b)
      parts.forEach((place, part) => {
        assert.ok(place >= Math.floor(part * able.length / n) && place < Math.floor((part + 1) * able.length / n))
      })
    }
    const depths = makeQuestions(document, 12, 5).map(fact => document.text.indexOf(fact.sentence) / document.text.length)
    for (const quarter of [0, 1, 2, 3])
      assert.ok(depths.some(depth => Math.floor(depth * 4) === quarter), `quarter ${quarter}`)
    assert.equal(makeQuestions(document, 12, 5), makeQuestions(document, 12, 5))
    assert.not.equal(makeQuestions(document, 12, 5), makeQuestions(document, 12, 6))
    assert.ok(makeQuestions(document, 2, 5, ['quote']).every(fact => fact.kind === 'quote'))
  }
})

test('what cannot be made is refused in one sentence', () => {
  const make = (options: object) => () => makeDocument({ tokens: 1024, seed: 1, count: pieces, ...options })
  assert.throws(make({ tokens: 0 }), /tokens must be a whole number of at least 1, got 0/)
  assert.throws(make({ facts: -1 }), /facts must be a whole number of at least 0, got -1/)
  assert.throws(make({ facts: 200 }), /tokens must be at least \d+ for 200 facts, got 1024/)
  assert.throws(make({ count: (text: string) => Math.floor(text.length / 9) }), /count of the text must be at most/)
  const [document] = documents
  if (document) assert.throws(() => makeQuestions(document, 61, 1), /n must be a whole number from 0 to \d+.*got 61/)
  assert.is(makeDocument({ tokens: 64, seed: 1, facts: 0, count: pieces }).facts.length, 0)
})

test.run()
