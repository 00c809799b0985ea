import { Tokenizer as Library } from '@huggingface/tokenizers'
import fc from 'fast-check'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { tokenizer } from '../../src/tokenizer/index.ts'
import { definition } from '../../src/tokenizer/bytePairs.ts'
import { tiny, withSmollm } from '../models.ts'
import { golden, metadataFor, metadataOf, suite, type Splits } from './files.ts'

interface Case { text: string; ids: number[]; idsSpecialAsText?: number[]; decoded?: string }

const { splits, vocabularies } = golden<Splits>('tokenizer/splits.json')
const small = tokenizer(metadataFor('llama-bpe', vocabularies['llama-bpe']!))
const wellFormed = fc.string({ unit: 'binary', maxLength: 60 })

for (const [pre, cases] of Object.entries(splits)) {
  test(`words of ${pre}`, () => {
    const library = new Library(definition(metadataFor(pre, vocabularies['gpt-2']!)), {})
    for (const [text, pieces] of cases) {
      assert.equal(text ? library.pre_tokenizer!.pre_tokenize(text) : [], pieces, JSON.stringify(text))
    }
  })
}

for (const [pre, vocabulary] of Object.entries(vocabularies)) {
  test(`ids of ${pre}`, () => {
    const { encode, decode } = tokenizer(metadataFor(pre, vocabulary))
    for (const { text, ids } of vocabulary.cases) {
      assert.equal(encode(text), ids, JSON.stringify(text))
      assert.is(decode(ids), text)
    }
  })
}

withSmollm(suite, 'goldens of the 135M model', async path => {
  const { encode, decode } = tokenizer(await metadataOf(path))
  for (const { text, ids, idsSpecialAsText = ids, decoded = text } of golden<{ cases: Case[] }>('model/tokenizer.json').cases) {
    assert.equal(encode(text), ids, JSON.stringify(text))
    assert.equal(encode(text, { special: false }), idsSpecialAsText, JSON.stringify(text))
    assert.is(decode(ids), decoded)
  }
  for (const name of ['prompts', 'perplexity']) {
    for (const { text, ids } of golden<{ cases: Case[] }>(`model/${name}.json`).cases) {
      if (ids) assert.equal(encode(text), ids)
      if (ids) assert.is(decode(ids), text)
    }
  }
})

withSmollm(suite, 'half a million characters, cut anywhere between words, are the same ids', async path => {
  const { encode, decode } = tokenizer(await metadataOf(path))
  const [page] = golden<{ cases: Case[] }>('model/perplexity.json').cases
  const line = `${page!.text}\n`
  const copies = Math.ceil(500_000 / line.length)
  const ids = encode(line)
  const started = performance.now()
  const all = encode(line.repeat(copies))
  const spent = performance.now() - started
  assert.equal(all, Array.from({ length: copies }, () => ids).flat())
  assert.is(decode(all), line.repeat(copies))
  assert.ok(spent < 10_000, `500 kB took ${Math.round(spent)} ms`) // ten times a slow machine's share; a quadratic path takes minutes
})

test('goldens of the tiny model', async () => {
  const read = tokenizer(await metadataOf(tiny))
  for (const { prompt, ids } of golden<{ cases: { prompt: string; ids: number[] }[] }>('tokenizer/tiny.json').cases) {
    assert.equal(read.encode(prompt), ids)
    assert.is(read.decode(ids), prompt)
  }
  assert.equal([read.size, read.bos, read.eos, read.addBos], [1024, 1, 2, false])
  assert.equal([...read.endTokens].sort(), [0, 2])
})

test('decode gives back what was encoded', () => {
  fc.assert(fc.property(wellFormed, fc.boolean(), (text, special) => small.decode(small.encode(text, { special })) === text))
})

test('bytes of the tokens are the bytes of the text', () => {
  fc.assert(fc.property(wellFormed, text => {
    assert.equal(small.encode(text).flatMap(id => [...small.bytes(id)]), [...new TextEncoder().encode(text)])
  }))
})

test('unpaired surrogates become U+FFFD', () => {
  assert.is(small.decode(small.encode('a\ud800b\udc00\ud83d\ude00\ud83d')), 'a\ufffdb\ufffd😀\ufffd')
})

test('a byte order mark stays', () => {
  assert.is(small.decode(small.encode('\ufeffa\ufeff')), '\ufeffa\ufeff')
})

test('control tokens only with special, user-defined ones always', () => {
  const { tokens } = vocabularies['llama-bpe']!
  const [control, user] = [tokens.indexOf('<|end|>'), tokens.indexOf('<<note>>')]
  assert.equal(small.encode('<<note>><|end|>'), [user, control])
  const ids = small.encode('<<note>><|end|>', { special: false })
  assert.is(ids[0], user)
  assert.not(ids.includes(control))
  assert.equal([small.isSpecial(control), small.isSpecial(user), small.isSpecial(0)], [true, false, false])
  assert.is(small.decode([user, control], { skipSpecial: true }), '<<note>>')
  assert.is(small.decode([user, control]), '<<note>><|end|>')
  assert.ok(small.endTokens.has(control))
})

test('the longest added token wins, and names may hold any character', () => {
  const names = ['[a]', '[a](b)', '\\d+', '$^', '{1}', 'x|y', '__proto__', 'constructor']
  const base = vocabularies['gpt-2']!
  const first = base.tokens.length
  const { encode, token } = tokenizer(metadataFor('gpt-2', {
    ...base, tokens: [...base.tokens, ...names], types: [...base.types, ...names.map(() => 4)],
  }))
  assert.equal(encode(names.join('')), [0, 1, 2, 3, 4, 5, 6, 7].map(index => first + index))
  assert.is(encode('[a](b)[a]').map(token).join(' '), '[a](b) [a]')
})

test('a file without types: end names and named ids are control', () => {
  const metadata = metadataFor('qwen2', vocabularies['qwen2']!)
  metadata.delete('tokenizer.ggml.token_type')
  const end = vocabularies['qwen2']!.tokens.indexOf('<|end|>')
  const read = tokenizer(metadata.set('tokenizer.ggml.bos_token_id', 5))
  assert.equal([read.isSpecial(end), read.isSpecial(5), read.isSpecial(6), read.bos, read.eos], [true, true, false, 5, null])
  assert.is(read.addBos, false)
})

test('BOS is wanted where the file says so, else by llama-bpe', () => {
  const metadata = metadataFor('llama-bpe', vocabularies['llama-bpe']!)
  assert.is(tokenizer(metadata).addBos, false, 'no BOS in the file')
  metadata.set('tokenizer.ggml.bos_token_id', 1)
  assert.is(tokenizer(metadata).addBos, true)
  assert.is(tokenizer(metadata.set('tokenizer.ggml.add_bos_token', false)).addBos, false)
})

test('names that end a turn, and those that do not', () => {
  const base = vocabularies['gpt-2']!
  const ends = (names: string[], types: number[]): string[] => {
    const read = tokenizer(metadataFor('gpt-2', { ...base, tokens: [...base.tokens.map(t => t === '<|end|>' ? 'plain' : t), ...names], types: [...base.types, ...types] }))
    return [...read.endTokens].map(read.token)
  }
  assert.equal(ends(['<end_of_turn>', '<|eot_id|>'], [1, 3]).sort(), ['<end_of_turn>', '<|eot_id|>'])
  assert.equal(ends(['</s>', '<eos>'], [1, 1]), [], 'markup')
  assert.equal(ends(['</s>', '<eos>'], [3, 3]).sort(), ['</s>', '<eos>'])
  assert.equal(ends(['<|end|>'], [3]), ['<|end|>'])
  assert.equal(ends(['<|end|>', '<|return|>', '<|call|>'], [3, 3, 3]).sort(), ['<|call|>', '<|return|>'])
})

test('tokens of type byte stand for that byte', () => {
  const base = vocabularies['gpt-2']!
  const id = base.tokens.length
  const read = tokenizer(metadataFor('gpt-2', { ...base, tokens: [...base.tokens, '<0xE9>'], types: [...base.types, 6] }))
  assert.equal([...read.bytes(id)], [0xe9])
  assert.is(read.decode([id]), '\ufffd')
})

const must = 'tokenizer.ggml.model must be gpt2 (byte-level merges) or llama (SentencePiece merges), got '
const refused: [string, [string, unknown], string][] = [
  ['unigram', ['tokenizer.ggml.model', 't5'], `${must}t5 (unigram)`],
  ['WordPiece', ['tokenizer.ggml.model', 'bert'], `${must}bert (WordPiece)`],
  ['kind', ['tokenizer.ggml.model', 'magic'], `${must}magic`],
  ['no scores', ['tokenizer.ggml.model', 'llama'], 'tokenizer.ggml.scores must be a list of numbers, got nothing'],
  ['pre-tokenizer', ['tokenizer.ggml.pre', 'viking'],
    'tokenizer.ggml.pre must be one of default, gpt-2, phi-2, olmo, mpt, starcoder, refact, smollm, command-r, codeshell, exaone, llama-bpe, llama3, llama-v3, falcon3, smaug-bpe, dbrx, '
      + 'qwen2, deepseek-r1-qwen, stablelm2, megrez, qwen35, tekken, gpt-4o, llama4, deepseek-llm, deepseek-coder, deepseek-v3, got viking'],
  ['no tokens', ['tokenizer.ggml.tokens', undefined], 'tokenizer.ggml.tokens must be a list of strings, got nothing'],
  ['odd token', ['tokenizer.ggml.tokens', ['a', 7]], 'tokenizer.ggml.tokens[1] must be a string, got 7'],
  ['few types', ['tokenizer.ggml.token_type', [1]], 'tokenizer.ggml.token_type must have one entry a token, 425, got 1'],
  ['no merges', ['tokenizer.ggml.merges', 'a b'], 'tokenizer.ggml.merges must be a list of strings, got a b'],
  ['odd merge', ['tokenizer.ggml.merges', ['a b', 'ab']], 'tokenizer.ggml.merges[1] must be two tokens with a space between, got ab'],
  ['EOS', ['tokenizer.ggml.eos_token_id', 425], 'tokenizer.ggml.eos_token_id must be a token below 425, got 425'],
  ['flag', ['tokenizer.ggml.add_bos_token', 1], 'tokenizer.ggml.add_bos_token must be true or false, got 1'],
]
for (const [name, [key, value], message] of refused) {
  test(`refused: ${name}`, () => {
    const metadata = metadataFor('gpt-2', vocabularies['gpt-2']!).set('tokenizer.ggml.bos_token_id', 1).set(key, value)
    assert.throws(() => tokenizer(metadata), (error: Error & { code?: string }) => {
      assert.is(error.message, message)
      return error.code === 'model'
    })
  })
}

test('a token outside the vocabulary is refused', () => {
  for (const id of [-1, 425, 0.5, NaN]) assert.throws(() => small.bytes(id), `token must be an integer from 0 to 424, got ${id}`)
})

test.run()
