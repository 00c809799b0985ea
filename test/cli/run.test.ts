import { readFileSync } from 'node:fs'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { choose } from '../../src/wasm/index.ts'
import { tiny } from '../models.ts'
import { cli, file, json, serve } from './program.ts'

const number = 'number', text = 'string', boolean = 'boolean'
/** cli.md, field by field. */
const contract = {
  model: text, architecture: text, method: text, parameters: 'object', budget: number, backend: text, build: text, threads: number, kv: text, precision: text,
  promptTokens: number, tokens: 'object', text, stopReason: text,
  timings: { loadMs: number, prefillMs: number, decodeMs: number, prefillTokensPerSecond: number, decodeTokensPerSecond: number },
  ledger: {
    tokensSeen: number, tokensHeld: number, kvBytes: number, kvBytesFull: number, kvBytesPeak: number, rowsReadPerStep: number, memoryBytes: number, memoryBytesPeak: number,
    afterPrefill: { tokensHeld: number, kvBytes: number }, dense: boolean,
  },
}

function follows(value: any, shape: Record<string, unknown>, at = ''): void {
  assert.equal(Object.keys(value).sort(), Object.keys(shape).sort(), at)
  for (const [key, kind] of Object.entries(shape)) {
    if (typeof kind === 'object') follows(value[key], kind as Record<string, unknown>, `${at}.${key}`)
    else assert.type(value[key], kind as 'number', `${at}.${key}`)
  }
}

const facts = `${'The river runs past the old mill and the road goes on. '.repeat(60)}The access code of the amber gate is 7319. ${'The wind was cold and the field was wide. '.repeat(60)}`
const document = file('notes.txt', facts)
const short = ['run', '--prompt', 'The code is', '--raw', '--max-tokens', '4', '--ignore-eos']

test('--json gives the contract and nothing else', async () => {
  const { code, out, err } = await cli([...short, '--json'])
  assert.is(code, 0)
  assert.is(err, '')
  assert.is(out.trim().split('\n').length, 1)
  const r = JSON.parse(out)
  follows(r, contract)
  assert.equal([r.architecture, r.method, r.budget, r.backend, r.build, r.threads, r.kv, r.precision], ['llama', 'rocketkv', 512, 'wasm', await choose(), 1, 'i16', 'fast'])
  assert.is(r.tokens.length, 4)
  assert.is(r.stopReason, 'length')
  assert.is(r.ledger.dense, true)
  assert.is(r.ledger.tokensSeen, r.promptTokens + 3)
  assert.is(r.ledger.afterPrefill.tokensHeld, r.promptTokens)
})

test('--propagate: tokens that stay behind are in no later layer', async () => {
  const kept = file('propagated.json')
  const r = await json('run', '--document', document, '--prompt', 'What is the code?', '--method', 'full', '--propagate', 'fastkv,layer=1,rate=0.25', '--max-tokens', '3', '--ignore-eos', '--kept', kept)
  follows(r, { ...contract, propagate: { name: text, paper: text, layer: number, rate: number, window: number, kernel: number } })
  const on = Math.floor(r.promptTokens / 4), { layers } = JSON.parse(readFileSync(kept, 'utf8'))
  assert.equal(layers.map((heads: number[][]) => heads.map(rows => rows.length)), [r.promptTokens, r.promptTokens, on, on].map(rows => [rows, rows]))
  assert.is(layers[3][1].at(-1), r.promptTokens - 1)
  assert.is(r.ledger.tokensSeen, r.promptTokens + 2)
  assert.is((await cli([...short, '--propagate', 'fastkv,rate=2'])).code, 2)
})

test('a compressed cache holds less, and says what', async () => {
  const kept = file('kept.json')
  const r = await json('run', '--document', document, '--prompt', 'What is the code?', '--method', 'snapkv,window=16,kernel=5', '--budget', '64', '--max-tokens', '3', '--kept', kept, '--logits', '3')
  const { logits, ...rest } = r
  follows(rest, contract)
  assert.is(r.method, 'snapkv')
  assert.equal([r.parameters.window, r.parameters.kernel], [16, 5])
  assert.is(r.ledger.dense, false)
  assert.is(r.ledger.afterPrefill.tokensHeld, 64)
  assert.ok(r.ledger.kvBytes < r.ledger.kvBytesFull / 2)
  follows(logits, { top: 'object', mean: number, std: number, logSumExp: number })
  assert.is(logits.top.length, 3)
  assert.ok(logits.top[0][1] >= logits.top[1][1] && logits.logSumExp >= logits.top[0][1])
  const { method, budget, tokens, layers } = JSON.parse(readFileSync(kept, 'utf8'))
  assert.equal([method, budget, tokens, layers.length, layers[0].length], ['snapkv', 64, r.promptTokens, 4, 2])
  for (const layer of layers) for (const head of layer) {
    assert.is(head.length, 64)
    assert.ok(head.every((p: number, i: number) => p < tokens && (i === 0 || p > head[i - 1])))
  }
})

test('without --json the answer alone is on standard output', async () => {
  const { code, out, err } = await cli(short)
  const { text } = await json(...short)
  assert.is(code, 0)
  assert.is(out, `${text}\n`)
  assert.match(err, /tokens read/)
  assert.is((await cli([...short, '--quiet', '--no-color'])).err, '')
})

test('no answer asked for: the prompt is read all the same', async () => {
  const kept = file('none.json')
  const r = await json('run', '--prompt', 'The code', '--raw', '--max-tokens', '0', '--logits', '1', '--kept', kept)
  assert.equal([r.tokens, r.text, r.stopReason], [[], '', 'length'])
  assert.is(r.logits.top.length, 1)
  assert.is(JSON.parse(readFileSync(kept, 'utf8')).layers[0][0].length, r.promptTokens)
})

test('the same document by path, standard input and URL', async () => {
  const server = await serve({ 'notes.txt': facts })
  try {
    const asked = ['--prompt', 'What is the code?', '--max-tokens', '2', '--json', '--budget', '128']
    const answers = await Promise.all([
      cli(['run', '--document', document, ...asked]),
      cli(['run', '--document', '-', ...asked], { input: facts }),
      cli(['run', '--document', `${server.url}/notes.txt`, ...asked]),
    ])
    const told = answers.map(({ out }) => { const { promptTokens, tokens } = JSON.parse(out); return { promptTokens, tokens } })
    assert.equal(told[1], told[0])
    assert.equal(told[2], told[0])
  } finally {
    server.close()
  }
})

test('the model from a URL and from hf: says what the path says', async () => {
  const model = readFileSync(tiny)
  const server = await serve({ 'm.gguf': model, 'someone/a-model/resolve/main/sub/m.gguf': model })
  try {
    const there = await cli([...short, '--json', '--model', `${server.url}/m.gguf`])
    const hub = await cli([...short, '--json', '--model', 'hf:someone/a-model/sub/m.gguf'], { env: { HF_ENDPOINT: server.url } })
    const here = await json(...short, '--model', tiny)
    assert.equal(JSON.parse(there.out).tokens, here.tokens)
    assert.equal(JSON.parse(hub.out).tokens, here.tokens)
  } finally {
    server.close()
  }
})

test('--raw joins document and prompt with nothing between', async () => {
  const one = await json('run', '--raw', '--document', file('a.txt', 'The code of '), '--prompt', 'the gate', '--max-tokens', '1')
  const two = await json('run', '--raw', '--prompt', 'The code of the gate', '--max-tokens', '1')
  assert.equal([one.promptTokens, one.tokens], [two.promptTokens, two.tokens])
})

test('--tokens takes ids as they are', async () => {
  const ids = await cli(['tokenize', 'The code is'])
  const r = await json('run', '--tokens', file('ids.json', ids.out), '--max-tokens', '4', '--ignore-eos')
  assert.equal(r.tokens, (await json(...short)).tokens)
})

test('--stop ends the answer before it, as often as given', async () => {
  const open = await json(...short, '--max-tokens', '12')
  const words = open.text.trim().split(/\s+/)
  const r = await json(...short, '--max-tokens', '12', '--stop', 'not in the answer', '--stop', words[0])
  assert.is(r.text.includes(words[0]), false)
  assert.is(r.stopReason, 'eos')
  assert.ok(r.tokens.length < 12)
})

test('eos: in tokens, not in text; --ignore-eos goes on', async () => {
  const asked = ['run', '--document', document, '--prompt', 'What is the access code of the amber gate?', '--max-tokens', '24']
  const r = await json(...asked)
  if (r.stopReason !== 'eos') return assert.unreachable(`the tiny model must end its answer, got ${JSON.stringify(r.text)}`)
  assert.is(r.text.includes('<|im_end|>'), false)
  assert.ok(r.tokens.length < 24)
  const on = await json(...asked, '--ignore-eos')
  assert.is(on.stopReason, 'length')
  assert.is(on.tokens.length, 24)
  assert.equal(on.tokens.slice(0, r.tokens.length), r.tokens)
})

test('a seed draws the same again, another one differently', async () => {
  const drawn = async (seed: string) => (await json('run', '--prompt', 'The', '--raw', '--max-tokens', '16', '--ignore-eos', '--temperature', '1.5', '--top-k', '0', '--top-p', '1', '--min-p', '0', '--repeat-penalty', '1.1', '--seed', seed)).tokens
  const [one, again, other] = [await drawn('7'), await drawn('7'), await drawn('8')]
  assert.equal(one, again)
  assert.not.equal(one, other)
})

test('--kv, --precision, --backend, --build and --threads say what runs', async () => {
  const f32 = await json(...short, '--kv', 'f32', '--build', 'simd', '--backend', 'wasm')
  assert.equal([f32.kv, f32.precision, f32.build], ['f32', 'fast', 'simd'])
  const exact = await json(...short, '--precision', 'exact')
  assert.equal([exact.kv, exact.precision], ['f32', 'exact'])
  const plainly = await json(...short, '--backend', 'reference')
  assert.is(plainly.backend, 'reference')
  const { out, err } = await cli([...short, '--threads', '4', '--json'])
  assert.is(JSON.parse(out).threads, 4)
  assert.is(err, '')
  const without = await cli([...short, '--threads', '4', '--json'], { env: { NODE_OPTIONS: '--import=data:text/javascript,delete%20globalThis.SharedArrayBuffer' } })
  assert.is(JSON.parse(without.out).threads, 1)
  assert.is(without.err, '--threads 4: one thread runs, since memory cannot be shared here\n')
})

test('--context and --system', async () => {
  assert.is((await cli([...short, '--context', '5'])).code, 4)
  assert.is((await cli([...short, '--context', '500'])).code, 0)
  assert.is((await cli([...short, '--context', '40000'])).code, 4)
  assert.is((await cli([...short, '--context', '40000', '--extend'])).code, 0)
  const [bare, told] = [await json('run', '--prompt', 'Hi', '--max-tokens', '1'), await json('run', '--prompt', 'Hi', '--system', 'Be short.', '--max-tokens', '1')]
  assert.ok(told.promptTokens > bare.promptTokens)
})

test('without arguments it explains itself in ten lines, an example first', async () => {
  const { code, out } = await cli(['run'])
  assert.is(code, 0)
  assert.is(out.trimEnd().split('\n').length, 10)
  assert.match(out.split('\n')[0]!, /^ {2}pocketkv run --model .* --document .* --prompt /)
})

test.run()
