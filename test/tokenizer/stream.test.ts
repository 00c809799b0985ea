import fc from 'fast-check'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { stopMatcher, textStream, tokenizer, type StopMatcher } from '../../src/tokenizer/index.ts'
import { golden, metadataFor, type Splits } from './files.ts'

const vocabulary = golden<Splits>('tokenizer/splits.json').vocabularies['gpt-2']!
const small = tokenizer(metadataFor('gpt-2', vocabulary))
const control = vocabulary.tokens.indexOf('<|end|>')
const anyIds = fc.array(fc.nat({ max: small.size - 1 }), { maxLength: 80 })

function streamed(ids: readonly number[], special: boolean): string[] {
  const stream = textStream(small, { special })
  return [...ids.map(stream.push), stream.flush()]
}

test('any ids: the stream put together is what decode returns', () => {
  fc.assert(fc.property(anyIds, fc.boolean(), (ids, special) => {
    assert.is(streamed(ids, special).join(''), small.decode(ids, { skipSpecial: !special }))
  }))
})

test('text: every piece is whole characters', () => {
  fc.assert(fc.property(fc.string({ unit: 'binary', maxLength: 60 }), text => {
    const pieces = streamed(small.encode(text), true)
    assert.is(pieces.join(''), text)
    for (const piece of pieces) assert.is(/\p{Surrogate}/u.test(piece), false)
    if (!text.includes('\ufffd')) assert.is(pieces.some(piece => piece.includes('\ufffd')), false)
  }))
})

test('a character of four tokens comes with the last', () => {
  const ids = [...new TextEncoder().encode('😀')].map(idOfByte)
  assert.equal(streamed(ids, false), ['', '', '', '😀', ''])
  assert.equal(streamed(ids.slice(0, 3), false), ['', '', '', '\ufffd'])
  assert.equal(streamed([ids[0]!, ids[1]!, control, ids[2]!, ids[3]!], false).join(''), '😀')
})

function idOfByte(byte: number): number {
  return vocabulary.tokens.findIndex((_, id) => small.bytes(id).length === 1 && small.bytes(id)[0] === byte)
}

test('control tokens are text only when asked for', () => {
  assert.equal(streamed([control], false), ['', ''])
  assert.equal(streamed([control], true), ['<|end|>', ''])
})

function matched(pieces: readonly string[], stops: readonly string[]): { texts: string[]; matcher: StopMatcher } {
  const matcher = stopMatcher(stops)
  return { texts: [...pieces.map(matcher.push), matcher.flush()], matcher }
}

const stories: [name: string, pieces: string[], stops: string[], texts: string[], stop: string | null][] = [
  ['no stops', ['a', 'b'], [], ['a', 'b', ''], null],
  ['inside a piece', ['a stop b'], ['stop'], ['a ', ''], 'stop'],
  ['over pieces', ['xs', 't', 'op', 'more'], ['stop'], ['x', '', '', '', ''], 'stop'],
  ['a start that comes to nothing', ['xst', 'a', 's'], ['stop'], ['x', 'sta', '', 's'], null],
  ['a start within a start', ['aab', 'aac'], ['aabaac'], ['', '', ''], 'aabaac'],
  ['a later start is kept', ['ab', 'aba', 'c'], ['abac'], ['', 'ab', '', ''], 'abac'],
  ['complete first ends', ['abcd'], ['abcd', 'bc'], ['a', ''], 'bc'],
  ['complete together, the one that starts first', ['xabc'], ['c', 'abc', 'bc'], ['x', ''], 'abc'],
  ['a newline', ['a\n', '\n\nb'], ['\n\n'], ['a', '', ''], '\n\n'],
  ['an emoji', ['a😀', '😁b'], ['😀😁'], ['a', '', ''], '😀😁'],
]
for (const [name, pieces, stops, texts, stop] of stories) {
  test(`stop strings: ${name}`, () => {
    const result = matched(pieces, stops)
    assert.equal(result.texts, texts)
    assert.is(result.matcher.matched, stop)
  })
}

test('stop strings: however the text is cut, the same end', () => {
  const letters = fc.string({ unit: fc.constantFrom('a', 'b', 'c'), maxLength: 30 })
  const stops = fc.array(fc.string({ unit: fc.constantFrom('a', 'b', 'c'), minLength: 1, maxLength: 5 }), { maxLength: 3 })
  fc.assert(fc.property(fc.array(letters, { maxLength: 8 }), stops, (pieces, stops) => {
    const whole = matched([pieces.join('')], stops)
    const cut = matched(pieces, stops)
    assert.is(cut.texts.join(''), whole.texts.join(''))
    assert.is(cut.matcher.matched, whole.matcher.matched)
    for (const stop of stops) assert.is(whole.texts.join('').includes(stop), false)
    if (whole.matcher.matched === null) assert.is(whole.texts.join(''), pieces.join(''))
  }))
})

test('an empty stop string is refused', () => {
  assert.throws(() => stopMatcher(['a', '']), 'a stop string must have at least one character, got an empty one')
})

test.run()
