import { readFileSync } from 'node:fs'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { randomLlama, writeGguf } from '../gguf/write.ts'
import { relaxedFault } from '../../src/wasm/choose.ts'
import { tiny } from '../models.ts'
import { cli, file, serve } from './program.ts'

/** One sentence on standard error, the same in JSON on standard output, and the exit code. */
async function refused(args: readonly string[], code: number, name: string, said: RegExp, options: Parameters<typeof cli>[1] = {}): Promise<void> {
  const what = args.join(' ')
  const [words, document] = await Promise.all([cli(args, options), cli([...args, '--json'], options)])
  assert.is(words.code, code, `${what}: ${words.err}`)
  assert.is(words.out, '', what)
  const lines = words.err.trimEnd().split('\n')
  assert.is(lines.length, 1, `${what}: ${words.err}`)
  assert.match(lines[0]!, /^pocketkv: /)
  assert.match(lines[0]!, said)
  assert.is(document.code, code, what)
  const { error } = JSON.parse(document.out)
  assert.is(error.code, name, what)
  assert.is(`pocketkv: ${error.message}`, lines[0])
}

const ask = ['run', '--prompt', 'Hi', '--max-tokens', '1']
const shape = { layers: 1, heads: 2, kvHeads: 1, headDim: 16, dim: 32, hidden: 32, vocab: 300, context: 64, type: 'F32', tied: true, seed: 1 } as const

for (const [args, said] of [
  [['--budget', '0'], /--budget must be a whole number from 1 on, got 0/],
  [['--budget', '-1'], /whole number from 1 on, got -1/],
  [['--budget', '1.5'], /whole number from 1 on, got 1\.5/],
  [['--budget', 'many'], /--budget must be a number, got many/],
  [['--budget', ''], /--budget must be a number, got nothing/],
  [['--budget', '15', '--document', file('long.txt', 'the river ran on. '.repeat(40))], /budget must be a whole number of tokens from 16 on, got 15/],
  [['--method', 'magic'], /method must be one of full, rocketkv, .*, got magic/],
  [['--method', 'snapkv,wide=3'], /snapkv: parameter must be one of window, kernel, .*, got wide/],
  [['--method', 'snapkv,window=0'], /window must be a whole number from 1 on, got 0/],
  [['--method', 'snapkv,kernel=4'], /kernel must be odd/],
  [['--method', ''], /method must be one of .*, got nothing/],
  [['--kv', 'q3'], /--kv must be one of f32, i16, q8, q4, q2, got q3/],
  [['--kv', 'q8', '--precision', 'exact'], /--kv must be f32 where --precision is exact, got q8/],
  [['--kv', 'i16', '--precision', 'exact'], /--kv must be f32 where --precision is exact, got i16/],
  [['--precision', 'double'], /--precision must be one of fast, exact, got double/],
  [['--backend', 'cuda'], /--backend must be one of auto, wasm, webgpu, reference, got cuda/],
  [['--build', 'simd', '--backend', 'reference'], /--build must go with the wasm backend/],
  [['--build', 'avx'], /--build must be one of simd, relaxed, got avx/],
  [['--stop', ''], /a stop string must have at least one character, got an empty one/],
  [['--threads', '65'], /threads must be a whole number from 1 to 64, got 65/],
  [['--threads', '0'], /--threads must be a whole number from 1 on, got 0/],
  [['--temperature', '-1'], /temperature must be 0 or more, got -1/],
  [['--temperature', 'hot'], /--temperature must be a number, got hot/],
  [['--top-p', '2'], /top-p must be above 0 and at most 1, got 2/],
  [['--seed', '1.5'], /--seed must be a whole number/],
  [['--max-tokens', '-2'], /--max-tokens must be a whole number from 0 on, got -2/],
  [['--logits', '0'], /--logits must be a whole number from 1 on, got 0/],
  [['--frobnicate'], /run: flag must be one of --model, .*, got --frobnicate/],
  [['-x'], /got -x/],
  [['--raw=yes'], /--raw must stand alone, got yes/],
  [['--system', '--raw'], /--system must have a value, got --raw/],
  [['word'], /run takes flags only, got word/],
  [['--document', '/no/such/file'], /\/no\/such\/file must be a text that can be read, got no such file/],
  [['--document', '.'], /\. must be a text that can be read, got a folder/],
  [['--document', 'http://127.0.0.1:1/x'], /must be a text that can be read, got/],
  [['--document', 'http://'], /must be a text that can be read|a URL must be whole/],
  [['--kept', '/no/such/folder/kept.json'], /--kept must be a file that can be written/],
  [['--kept', '/'], /--kept must be a file that can be written, got \/ \(a folder\)/],
  [['--model', ''], /--model must be a path, a URL, .*, got nothing/],
  [['--model', 'hf:owner'], /--model must be hf:owner\/repo, hf:owner\/repo\/file\.gguf or hf:owner\/repo:QUANT, got hf:owner/],
  [['--model', 'hf:a/b/c.gguf:Q4_0'], /got hf:a\/b\/c\.gguf:Q4_0/],
  [['--model', 'hf:a/b:'], /got hf:a\/b:/],
  [['--tokens', 'x.json'], /--tokens must stand alone, got a text too/],
] as const) test(`usage: run ${args.join(' ')}`, () => refused([...ask, ...args], 2, 'usage', said))

for (const [ids, said] of [
  ['[1, 5000]', /tokens must be ids from 0 to 1023, got 5000/], ['[1, -1]', /must hold token ids, got -1/], ['[1.5]', /must hold token ids, got 1\.5/], ['["a"]', /must hold token ids, got "a"/],
  ['[]', /at least one token, got none/], ['[1,', /must be JSON, got/], ['{}', /must be a JSON array, got object/], ['null', /must be a JSON array, got null/],
] as const) test(`usage: --tokens ${ids}`, () => refused(['run', '--tokens', file('ids.json', ids)], 2, 'usage', said))

test('usage: an empty prompt as it stands', () => refused(['run', '--prompt', '', '--raw'], 2, 'usage', /at least one token, got none/))
test('usage: nothing to answer, with --json', async () => {
  const { code, out } = await cli(['run', '--json'])
  assert.equal([code, JSON.parse(out).error.code], [2, 'usage'])
})
test('usage: more questions than a document has facts', () =>
  refused(['demo', '--tokens', '1024', '--questions', '1000'], 2, 'usage', /questions must be at most \d+ for a document of 1024 tokens, got 1000/))

for (const [args, sentence] of [
  [['--budgets', '128,x'], /--budgets must be whole numbers of tokens from 1 on, got x/],
  [['--budgets', '0'], /--budgets must be whole numbers of tokens from 1 on, got 0/],
  [['--tokens', '40000'], /--tokens must be at most 32000, got 40000/],
  [['--methods', 'snapkv+chunkkv'], /at most one method that chooses rows to keep, got snapkv and chunkkv/],
  [['now'], /eval takes flags only, got now/],
] as const) test(`usage: eval ${args.join(' ')}`, () => refused(['eval', ...args], 2, 'usage', sentence))

test('usage: an unknown command', () => refused(['rnu'], 2, 'usage', /command must be one of run, chat, .*, got rnu/))
test('usage: help for an unknown command', () => refused(['help', 'rnu'], 2, 'usage', /got rnu/))

const plain = randomLlama(shape)
const header = (metadata: Record<string, string>) => writeGguf({ metadata: { 'general.architecture': 'llama', ...metadata }, tensors: [] })
/** The type of blk.0.attn_q.weight becomes one that the format has and this program does not run. */
function strangeType(): Uint8Array {
  const bytes = Buffer.from(plain)
  const name = 'blk.0.attn_q.weight'
  const at = bytes.indexOf(name) + name.length
  bytes.writeUInt32LE(39, at + 4 + 2 * 8) // MXFP4
  return bytes
}

const server = await serve({ 'garbage.gguf': 'garbage' })
for (const [what, model, said] of [
  ['missing', '/no/such.gguf', /must be a readable file, got/],
  ['a folder', '.', /must be a file, got a folder/],
  ['no GGUF', file('plain.gguf', 'hello world'), /must be a GGUF file/],
  ['empty', file('empty.gguf', ''), /must be a GGUF file/],
  ['cut in its header', file('cut.gguf', plain.subarray(0, 700)), /truncated|must/],
  ['cut in its tensors', file('half.gguf', readFileSync(tiny).subarray(0, 600_000)), /truncated|must/],
  ['of another architecture', file('mamba.gguf', header({ 'general.architecture': 'mamba' })), /architecture must be one of llama, qwen2, .*olmo2, got mamba/],
  ['of another tensor type', file('mxfp4.gguf', strangeType()), /blk\.0\.attn_q\.weight is MXFP4; nearest in size are IQ4_XS and Q4_0;/],
  ['without a vocabulary', file('bare.gguf', header({})), /must/],
  ['absent on a server', `${server.url}/none.gguf`, /404/],
  ['garbage on a server', `${server.url}/garbage.gguf`, /must be a GGUF file/],
  ['behind a closed port', 'http://127.0.0.1:1/m.gguf', /must/],
] as const) test(`model: ${what}`, () => refused([...ask, '--model', model], 3, 'model', said))

const small = file('small.gguf', plain)
test('fit: more than the trained context, both numbers', () =>
  refused(['run', '--model', small, '--prompt', 'the river ran on and on '.repeat(20), '--raw'], 4, 'fit', /context of 64 tokens, got \d+ \+ \d+/))
test('fit: an answer beyond the trained context', () => refused(['run', '--model', small, '--prompt', 'a', '--raw', '--max-tokens', '64'], 4, 'fit', /context of 64 tokens, got 1 \+ 64/))
test('fit: --extend goes beyond', async () => assert.is((await cli(['run', '--model', small, '--prompt', 'a', '--raw', '--max-tokens', '70', '--ignore-eos', '--extend'])).code, 0))
test('fit: five megabytes are refused before they are made tokens', async () => {
  const started = performance.now()
  await refused(['run', '--document', file('big.txt', 'The quiet harbour holds the code 1234. '.repeat(130_000)), '--prompt', 'x'], 4, 'fit', /context of 32768 tokens, got a prompt of at least \d{6}/)
  assert.ok(performance.now() - started < 30_000)
})
test('memory: more than WebAssembly can have, both numbers', () =>
  refused(['run', '--tokens', file('many.json', JSON.stringify(new Array(4_000_000).fill(5))), '--extend', '--method', 'full', '--max-tokens', '1'], 4, 'memory', /must stay within 4295 MB, got .* MB/))

test('backend: webgpu', () => refused([...ask, '--backend', 'webgpu'], 5, 'backend', /--backend must be auto, wasm or reference in this version, got webgpu/))
test('backend: the relaxed build, where its probe fails', async () => {
  if (await relaxedFault() === undefined) return assert.is((await cli([...ask, '--build', 'relaxed'])).code, 0)
  await refused([...ask, '--build', 'relaxed'], 5, 'backend', /build relaxed must run where i32x4\.relaxed_dot_i8x16_i7x16_add_s is exact, got /)
})

test('bytes that are no text are read all the same', async () => {
  const bytes = Uint8Array.from({ length: 600 }, (_, i) => (i * 37 + (i >> 3)) & 255)
  const { code, err } = await cli(['run', '--document', file('noise.bin', bytes), '--prompt', 'What?', '--max-tokens', '2', '--json'])
  assert.is(code, 0)
  assert.match(err, /noise\.bin is not all UTF-8: what is not reads as U\+FFFD/)
  assert.is((await cli(['run', '--document', file('nul.txt', 'a\0b\0\n'), '--prompt', '\u{1f600}', '--max-tokens', '2'])).code, 0)
})

test.after(() => server.close())
test.run()
