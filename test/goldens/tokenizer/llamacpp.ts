// Writes llamacpp.json beside it: ids that llama.cpp itself gives to difficult texts, for each pre-type and for SentencePiece.
//
//   npm install --prefix FOLDER node-llama-cpp@3.22.1 && node --import tsx test/goldens/tokenizer/llamacpp.ts FOLDER
//
// The vocabularies are made here from the texts themselves: merges cross words, so that each wrong cut of a pre-type shows in the ids.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { writeGguf, type Writable } from '../../gguf/write.ts'
import { bytePairTokens, bytePairTypes, pieceTypes, unmade, type Golden } from '../../tokenizer/llamacpp.ts'

const folder = process.argv[2]
if (folder === undefined) throw new Error('the folder of node-llama-cpp must be named, got none')

const preTypes = ['llama-bpe', 'qwen2', 'qwen35', 'gpt-2', 'smollm', 'tekken', 'phi-2', 'olmo', 'deepseek-llm', 'refact', 'starcoder', 'default',
  'mpt', 'command-r', 'codeshell', 'exaone', 'llama3', 'llama-v3', 'falcon3', 'smaug-bpe', 'dbrx', 'deepseek-r1-qwen', 'stablelm2', 'megrez', 'gpt-4o', 'llama4', 'deepseek-coder', 'deepseek-v3']

const texts = [
  ' ', '  ', '   a', 'a   ', 'a  b', '\n', '\n\n', ' \n ', 'a\n\n  b\n', 'a \n b', '\r\n', 'a\r\n\r\nb', '\t\tx\ty', ' \t x', 'x \t\n\t y', '     \n     ',
  '1', '12', '123', '1234', '12345678', ' 42', '3.14', '1,000,000', 'a1b22c333d4444', '٣٤٥٦', '½²Ⅷ', '１２３４', '2024-05-06T07:08', '0x7fff', '  7', '１2３',
  "I'm you're it's we've they'll he'd", "I'M YOU'RE IT'S WE'VE THEY'LL HE'D", "'Tis 'twas 'sno", "l'été d'or", "''s'", "don''t", "x's't", "the'RE 'Ve",
  'word.', '(word)', '"quoted" text', 'a-b_c', '...', ' ...', '!!!\n', '?!\n\nNext', '#include <x>\n{\n\t;\n}\n', '$x = $y + <z> ~ ^ |', '==>', ' ->x', 'a/b//c\n/d', '://',
  'café', 'cafe\u0301', 'naïve Straße', 'привет мир', 'ПРИВЕТ Мир', '你好，世界', '你好。世界！', 'こんにちは 世界', '한국어 텍스트', 'שלום עולם', 'हिन्दी भाषा', 'ไทยกับ', 'مرحبا ١٢', 'Ελλάδα ΕΛΛΑΔΑ',
  '😀', 'a😀b', '👩‍👩‍👧‍👦 x', '🇩🇪🇫🇷', 'é😀漢1', '\u00a0x', 'a\u00a0b', 'a\u2003b', '\u3000x\u3000', 'a\u3000。b', 'a\u0085b', '\ufeffa', 'a\u200bb',
  'a\u2028b', 'a\u2029\nb', '\u1680x', '\x1b[0m', '\x7f', '  \n\n  \n x', '\n \n \n', 'x\n ', 'x  \n', '\v\f x', "ſs 'ſ", 'A\u030a\u0301', 'e\u0301e\u0301 \u0301', 'ﬁ', 'Ǆ ǅ', 'ª º', '𝟘𝟙', '𠀀字', '𐐀𐐨',
  'https://example.org/a?b=1&c=22#d', 'def f(x):\n    return x ** 2\n', 'helloWorld HELLOWorld HelloWORLD hELLO', 'XMLHttpRequest2', 'iPhone15Pro', 'ÉCOLEÉcole', 'for(int i=0;i<10;++i){\n\t\tx[i]+=1; // ok\n\t}',
  '‘quoted’ “text” — dash…', '－１／２', 'ＡＢＣ ａｂｃ', 'x² + y³ ≈ ½ €5 ¥6', '▁a ▁▁b', 'a▁b',
  '<|end|>', 'a<|end|>b', ' <|end|> x', '<|end|>\n\ny', '<<note>> x<<note>>y', '<|end|><|end|> <<note>>', '<|end', '<s>x</s> y', 'x <s> y', '<0x41>', 'the end the end of the end', 'qqxyz qqxyz qqxyzz',
]

/** Names that are tokens already. */
const taken = new Set([...bytePairTokens([]).slice(0, 3), ...unmade, ...pieceTypes([]).tokens])

/** Joins the commonest neighbours again and again; `left` and `right` may be anything but parts of a character. */
function train(parts: string[][], n: number): [string, string][] {
  const merges: [string, string][] = []
  while (merges.length < n) {
    const counts = new Map<string, number>()
    for (const part of parts) for (let i = 1; i < part.length; i++) {
      const pair = `${part[i - 1]} ${part[i]}`
      counts.set(pair, (counts.get(pair) ?? 0) + 1)
    }
    const made = new Set([...taken, ...merges.map(merge => merge.join(''))])
    const best = [...counts].filter(([pair]) => !made.has(pair.replace(' ', ''))).sort(([a, n], [b, m]) => m - n || (a < b ? -1 : 1))[0]
    if (!best) break
    const [left, right] = best[0].split(' ') as [string, string]
    merges.push([left, right])
    for (const part of parts) for (let i = 1; i < part.length; i++) if (part[i - 1] === left && part[i] === right) part.splice(i - 1, 2, left + right)
  }
  return merges
}

const prose = 'The keeper of the lamp was there before the storm; they said 12345 steps and 67 doors, 2024. We\'ll see the other one, there: "the end"...\n\n\tfor i in range(100):\n        print(i)\n'
const corpus = [...texts, prose, prose.toUpperCase(), prose]
const letterOf = new Map(bytePairTokens([]).slice(3, 259).map((letter, byte) => [byte, letter]))
const merges = train(corpus.map(text => [...new TextEncoder().encode(text)].map(byte => letterOf.get(byte)!)), 420).map(merge => merge.join(' '))
// Three in four characters are pieces, so that the others become bytes; scores come in pairs, so that some are equal.
const letters = corpus.map(text => [...`▁${text.replaceAll(' ', '▁')}`])
const alone = [...new Set(letters.flat())].filter((letter, i) => i % 4 || letter === '▁')
const pieces: [string, number][] = [
  ...train(letters, 300).map(([a, b], rank): [string, number] => [a + b, -(rank >> 1)]),
  ...alone.map((letter, i): [string, number] => [letter, -1000 - i]),
]

const base: Record<string, Writable> = {
  'general.architecture': 'llama', 'llama.context_length': 64, 'llama.embedding_length': 32, 'llama.block_count': 1, 'llama.feed_forward_length': 32,
  'llama.attention.head_count': 1, 'llama.attention.layer_norm_rms_epsilon': { type: 'f32', value: 1e-5 },
  'tokenizer.ggml.bos_token_id': 1, 'tokenizer.ggml.eos_token_id': 2, 'tokenizer.ggml.add_bos_token': false,
}
const golden: Golden = { source: '', how: 'texts: in JSON; merges, pieces: see test/tokenizer/llamacpp.ts; ids: of each text, joined by spaces; asText: special tokens read as text', texts, merges, pieces, ids: {}, asText: {} }

const { getLlama } = await import(pathToFileURL(resolve(folder, 'node_modules/node-llama-cpp/dist/index.js')).href)
const llama = await getLlama({ gpu: false, build: 'never', skipDownload: true, logLevel: 'disabled' })
golden.source = `llama.cpp ${llama.llamaCppRelease.release} through node-llama-cpp 3.22.1, written by llamacpp.ts beside this file`

const place = mkdtempSync(join(tmpdir(), 'llamacpp-'))
async function note(name: string, metadata: Record<string, Writable>): Promise<void> {
  const path = join(place, `${name}.gguf`)
  writeFileSync(path, writeGguf({ metadata: { ...base, ...metadata }, tensors: [] }))
  const model = await llama.loadModel({ modelPath: path, vocabOnly: true })
  const ids = (special: boolean): string[] => texts.map(text => [...model.tokenize(text, special)].join(' '))
  for (const [into, special] of [[golden.ids, true], [golden.asText, false]] as const) {
    const own = ids(special)
    const same = Object.entries(into).find(([, other]) => typeof other !== 'string' && JSON.stringify(other) === JSON.stringify(own))
    into[name] = same ? same[0] : own
  }
  await model.dispose()
}

const bpe = bytePairTokens(merges)
for (const pre of preTypes) await note(pre, {
  'tokenizer.ggml.model': 'gpt2', 'tokenizer.ggml.pre': pre, 'tokenizer.ggml.tokens': bpe, 'tokenizer.ggml.token_type': bytePairTypes(bpe), 'tokenizer.ggml.merges': merges,
})
const { tokens, types, scores } = pieceTypes(pieces)
const spm: Record<string, Writable> = { 'tokenizer.ggml.model': 'llama', 'tokenizer.ggml.tokens': tokens, 'tokenizer.ggml.token_type': types, 'tokenizer.ggml.scores': scores }
await note('SentencePiece', spm)
await note('SentencePiece, no space before', { ...spm, 'tokenizer.ggml.add_space_prefix': false })
await note('SentencePiece, Phi-3', { ...spm, 'general.name': 'Phi-3 mini' })

rmSync(place, { recursive: true })
writeFileSync(new URL('llamacpp.json', import.meta.url), `${JSON.stringify(golden)}\n`)
process.exit()
