import fc from 'fast-check'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { textStream, tokenizer } from '../../src/tokenizer/index.ts'
import { golden } from './files.ts'
import { pieceTypes, type Golden } from './llamacpp.ts'

function metadataOf(pieces: Golden['pieces'], more: readonly [string, unknown][] = []): Map<string, unknown> {
  const { tokens, types, scores } = pieceTypes(pieces)
  return new Map<string, unknown>([['tokenizer.ggml.model', 'llama'], ['tokenizer.ggml.tokens', tokens], ['tokenizer.ggml.token_type', types], ['tokenizer.ggml.scores', scores], ...more])
}
const { pieces } = golden<Golden>('tokenizer/llamacpp.json')
const small = tokenizer(metadataOf(pieces))

/** The rule itself: the best pair of all, again and again. */
function joined(text: string, of: Golden['pieces']): string[] {
  const scores = new Map(of), parts = [...`▁${text}`.replaceAll(' ', '▁')]
  for (;;) {
    let best = -1
    for (let i = 1; i < parts.length; i++) {
      const score = scores.get(parts[i - 1]! + parts[i]!)
      if (score !== undefined && (best < 0 || score > scores.get(parts[best - 1]! + parts[best]!)!)) best = i
    }
    if (best < 0) return parts
    parts.splice(best - 1, 2, parts[best - 1]! + parts[best]!)
  }
}

const letters = ['a', 'b', '▁'], someText = fc.string({ unit: fc.constantFrom('a', 'b', ' '), maxLength: 40 })
const piece = fc.string({ unit: fc.constantFrom(...letters), minLength: 2, maxLength: 5 })
for (const [what, wanted] of [['within words', (p: string) => !/[^▁]▁/.test(p)], ['across words', () => true]] as const)
  test(`pieces ${what}: the best pair first, the leftmost of equals`, () => {
    const vocabulary = fc.array(fc.tuple(piece.filter(wanted), fc.integer({ min: -3, max: 0 })), { maxLength: 20 })
      .map(list => [...new Map<string, number>([...letters.map((letter): [string, number] => [letter, -9]), ...list])])
    fc.assert(fc.property(vocabulary, someText, (of, text) => {
      const { encode, token } = tokenizer(metadataOf(of))
      if (text) assert.equal(encode(text).map(token), joined(text, of))
    }))
  })

test('any text comes back, as a whole and as a stream', () => {
  const text = fc.string({ unit: 'binary', maxLength: 60 }).filter(text => !text.includes('▁'))
  fc.assert(fc.property(text, fc.boolean(), (text, prefix) => {
    const { encode, decode, ...rest } = prefix ? small : tokenizer(metadataOf(pieces, [['tokenizer.ggml.add_space_prefix', false]]))
    const ids = encode(text)
    assert.is(decode(ids), text)
    const stream = textStream(rest, { special: true })
    assert.is([...ids.map(stream.push), stream.flush()].join(''), text)
  }))
})

test('the space that is put before a text is no part of it', () => {
  const ids = small.encode('the<|end|>the')
  assert.equal(ids.map(id => small.decode([id])), ['the', '<|end|>', 'the'])
  assert.is(new TextDecoder().decode(small.bytes(ids[0]!)), ' the')
  assert.is(small.decode(ids), 'the<|end|>the')
  assert.is(small.decode(ids, { skipSpecial: true }), 'thethe')
  assert.is(small.decode([ids[0]!, ids[0]!]), 'the the')
  assert.equal(small.encode(''), [])
})

test('BOS and EOS are 1 and 2 where the file does not say, and BOS is wanted', () => {
  assert.equal([small.bos, small.eos, small.addBos, small.endTokens.has(2)], [1, 2, true, true])
  const said = tokenizer(metadataOf(pieces, [['tokenizer.ggml.bos_token_id', 3], ['tokenizer.ggml.eos_token_id', 4], ['tokenizer.ggml.add_bos_token', false]]))
  assert.equal([said.bos, said.eos, said.addBos], [3, 4, false])
})

test('a long text without spaces takes no quadratic time', () => {
  const text = 'theend'.repeat(50_000)
  const ids = small.encode(text)
  assert.is(small.decode(ids), text)
  assert.ok(ids.length < text.length)
})

test('scores must be there, one a token', () => {
  assert.throws(() => tokenizer(metadataOf(pieces, [['tokenizer.ggml.scores', undefined]])), 'tokenizer.ggml.scores must be a list of numbers, got nothing')
  assert.throws(() => tokenizer(metadataOf(pieces, [['tokenizer.ggml.scores', new Float32Array(3)]])), /tokenizer\.ggml\.scores must have one entry a token, \d+, got 3/)
})

test.run()
