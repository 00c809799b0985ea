import { fileURLToPath } from 'node:url'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { methods } from '../../src/methods/index.ts'
import { randomLlama, writeGguf } from '../gguf/write.ts'
import { withSmollm } from '../models.ts'
import { cli, file, json } from './program.ts'

const commands = ['run', 'chat', 'demo', 'eval', 'methods', 'inspect', 'plan', 'models', 'tokenize', 'detokenize', 'template']
/** cli.md's flags. */
const flags: Record<string, readonly string[]> = {
  run: ['model', 'method', 'budget', 'kv', 'precision', 'build', 'backend', 'threads', 'json', 'quiet', 'no-color', 'document', 'prompt', 'system', 'raw', 'max-tokens', 'temperature',
    'top-k', 'top-p', 'min-p', 'repeat-penalty', 'seed', 'stop', 'ignore-eos', 'logits', 'kept', 'tokens', 'context', 'extend'],
  demo: ['tokens', 'methods', 'json'], eval: ['methods', 'budgets', 'json'], plan: ['model', 'tokens'], tokenize: ['model', 'no-special'], detokenize: ['model'], template: ['model', 'no-generation-prompt'],
}

for (const command of commands) test(`help: ${command}`, async () => {
  const [long, short, topic] = await Promise.all([cli([command, '--help']), cli([command, '-h', '--nonsense']), cli(['help', command])])
  assert.equal([long.code, short.code, topic.code], [0, 0, 0])
  assert.is(short.out, long.out)
  assert.is(topic.out, long.out)
  assert.match(long.out, new RegExp(`^  pocketkv ${command}`))
  for (const flag of [...flags[command] ?? [], 'json', 'quiet', 'no-color', 'help']) assert.match(long.out, new RegExp(`--${flag}\\b`))
})

test('help: all commands', async () => {
  const [none, long, word] = await Promise.all([cli([]), cli(['--help']), cli(['help'])])
  assert.match(none.out, /^ {2}pocketkv demo\n/)
  for (const command of commands) assert.match(none.out, new RegExp(`^  ${command} `, 'm'))
  assert.equal([long.out, word.out], [none.out, none.out])
  assert.match((await cli(['--version'])).out, /^\d+\.\d+\.\d+\n$/)
})

test('methods: every one, with seven stages', async () => {
  const rows = await json('methods')
  assert.equal(rows.map((row: { name: string }) => row.name), Object.keys(methods))
  for (const { name, paper, stages, parameters, secondQuestion } of rows) {
    // Rows drawn at random are nobody's method.
    if (name === 'random') assert.is(paper, 'baseline')
    else assert.match(paper, /^arXiv:\d{4}\.\d{5}$/)
    assert.equal(Object.keys(stages), ['when', 'score', 'pool', 'allocate', 'select', 'store', 'decodeSelect'])
    assert.ok(Object.values(stages).every(stage => typeof stage === 'string' && stage !== ''))
    assert.type(parameters, 'object')
    assert.ok(['everything', 'what was kept'].includes(secondQuestion))
  }
  assert.ok(Object.values(rows[0].stages).every(stage => stage === '·'), 'full is the full cache')
  assert.ok(rows.slice(1).every(({ stages }: any) => Object.values(stages).some(stage => stage !== '·')), 'others differ from it')
  const { out } = await cli(['methods', 'rocketkv'])
  for (const part of ['arXiv:2502.14051', 'window attention (32)', 'maximum (63)', 'window=32,kernel=63', 'second question']) assert.ok(out.includes(part), part)
  assert.is((await json('methods', 'snapkv')).length, 1)
  assert.is((await cli(['methods', 'magic'])).code, 2)
})

test('inspect: what runs', async () => {
  const r = await json('inspect', 'demo')
  assert.equal([r.architecture, r.runs, r.problems, r.config.layers, r.config.kvHeads, r.tensorTypes.Q8_0, r.tokenizer.kind], ['llama', true, [], 4, 2, 29, 'gpt2'])
  assert.match((await cli(['inspect'])).out, /^runs +yes$/m)
})

/** A tiny model of test/goldens/families. */
const family = (name: string): string => fileURLToPath(new URL(`../goldens/families/${name}.gguf`, import.meta.url))

test('inspect: what an architecture has beyond a plain llama', async () => {
  for (const [name, line] of [['gemma3', '5 of 6 layers see the newest 24 tokens, scaled rope'], ['smollm3', '1 of 4 layers do not rotate'], ['phi3', '12 of 16 channels rotate, scaled rope']] as const)
    assert.match((await cli(['inspect', family(name)])).out, new RegExp(`^attention +${line}$`, 'm'))
  assert.not.match((await cli(['inspect', family('llama')])).out, /^attention/m)
})

test('plan: layers that slide hold their window, whatever the prompt', async () => {
  const bytes: number[] = []
  for (const tokens of ['300', '364']) bytes.push((await json('plan', '--model', family('gemma3'), '--tokens', tokens, '--method', 'full', '--max-tokens', '0')).rows[0].kvBytes)
  // One of six layers grows, by a tile of 64 rows of two KV heads of 16 channels.
  assert.is(bytes[1]! - bytes[0]!, 64 * 2 * (4 * 16 + 12))
})

test('inspect: what does not, and why', async () => {
  const model = file('other.gguf', writeGguf({ metadata: { 'general.architecture': 'mamba\u001b[31m', 'tokenizer.ggml.model': 't5', 'tokenizer.ggml.tokens': ['a'] },
    tensors: [{ name: 'token_embd.weight', shape: [2, 32], type: 'F32', values: new Float32Array(64) }] }))
  const r = await json('inspect', model)
  assert.is(r.runs, false)
  assert.match(r.problems.join('\n'), /architecture must be one of llama/)
  assert.match(r.problems.join('\n'), /tokenizer\.ggml\.model must be gpt2 .*got t5 \(unigram\)/)
  const { code, out } = await cli(['inspect', model])
  assert.is(code, 0)
  assert.match(out, /^runs +no$/m)
  assert.is(out.includes('\u001b'), false)
})

test('plan: every method, from lengths alone', async () => {
  const r = await json('plan', '--tokens', '16000')
  assert.equal(r.rows.map((row: { method: string }) => row.method), Object.keys(methods))
  assert.equal([r.tokens, r.answer, r.kv, r.fitsContext], [16000, 256, 'i16', true])
  const by = Object.fromEntries(r.rows.map((row: any) => [row.method, row]))
  assert.ok(by.rocketkv.kvBytes < by.full.kvBytes / 3)
  for (const row of r.rows) {
    assert.ok(row.kvBytes > 0 && row.kvBytesPeak >= row.kvBytes, row.method)
    assert.is(row.kvBytesFull, by.full.kvBytes)
  }
  assert.is((await json('plan', '--tokens', '40000')).fitsContext, false)
  assert.is((await json('plan', '--tokens', '16000', '--method', 'snapkv', '--budget', '64', '--kv', 'f32')).rows[0].tokensHeld, 64)
  assert.equal([(await cli(['plan'])).code, (await cli(['plan', '--tokens', '0'])).code, (await cli(['plan', '--tokens', '100', '--kv', 'q3'])).code], [2, 2, 2])
})

test('tokenize: texts as they are', async () => {
  assert.is((await cli(['tokenize', ''])).out, '[]\n')
  assert.is((await cli(['tokenize', '-'], { input: '' })).out, '[]\n')
  const padded = JSON.parse((await cli(['tokenize', '-'], { input: '  a\n ' })).out)
  assert.equal(padded, JSON.parse((await cli(['tokenize', '  a\n '])).out))
  assert.not.equal(padded, JSON.parse((await cli(['tokenize', 'a'])).out))
  assert.is(JSON.parse((await cli(['tokenize', '<|im_end|>'])).out).length, 1)
  assert.ok(JSON.parse((await cli(['tokenize', '--no-special', '<|im_end|>'])).out).length > 1)
  assert.is((await cli(['tokenize'])).code, 2)
  assert.is((await cli(['tokenize', 'two', 'words'])).code, 2)
  assert.is((await cli(['tokenize', '--', '--json'])).out, (await cli(['tokenize', '-'], { input: '--json' })).out)
})

test('detokenize: gives the text back, nothing added', async () => {
  const text = ' The river, ran — \u{1f600}\n'
  const ids = JSON.parse((await cli(['tokenize', text])).out) as number[]
  assert.is((await cli(['detokenize', ...ids.map(String)])).out, text)
  assert.is((await cli(['detokenize', JSON.stringify(ids)])).out, text)
  assert.is(await json('detokenize', ids.join(',')), text)
  for (const bad of ['1024', 'a', '1.5']) assert.is((await cli(['detokenize', bad])).code, 2)
})

test('template: what the file renders, nothing added', async () => {
  const messages = file('messages.json', JSON.stringify([{ role: 'user', content: 'Hi' }]))
  const question = '<|im_start|>user\nHi<|im_end|>\n'
  assert.is((await cli(['template', messages])).out, `${question}<|im_start|>assistant\n`)
  assert.is((await cli(['template', '--no-generation-prompt', messages])).out, question)
  assert.is(await json('template', messages), `${question}<|im_start|>assistant\n`)
  assert.is((await cli(['template', '-'], { input: '[{"role":"user","content":"Hi"}]' })).out, `${question}<|im_start|>assistant\n`)
  for (const bad of ['[{"role":"user"}]', '[{"content":"Hi"}]', '[1]', '[null]', '{}', '[', '']) assert.is((await cli(['template', file('bad.json', bad)])).code, 2, bad)
})

test('template: tools and thinking', async () => {
  const shape = { layers: 1, heads: 1, kvHeads: 1, headDim: 16, dim: 16, hidden: 16, vocab: 300, context: 64, type: 'F32', tied: true, seed: 1 } as const
  const template = `{% for t in tools or [] %}<{{ t | tojson }}>{% endfor %}{% for m in messages %}{{ m.content or m.tool_calls | length }}{% endfor %}{% if enable_thinking is defined %}({{ enable_thinking }}){% endif %}`
  const model = file('tools.gguf', randomLlama({ ...shape, template })), messages = file('m.json', '[{"role":"user","content":"Hi"},{"role":"assistant","content":null,"tool_calls":[{}]}]')
  assert.is((await cli(['template', '--model', model, messages])).out, 'Hi1')
  assert.is((await cli(['template', '--model', model, '--no-think', '--tools', file('t.json', '[{"name": "f"}]'), messages])).out, '<{"name": "f"}>Hi1(false)')
  assert.match((await cli(['template', '--model', model, '--think', messages])).out, /\(true\)/)
  const both = await cli(['template', '--model', model, '--think', '--no-think', messages])
  assert.equal([both.code, both.err], [2, 'pocketkv: one of --think and --no-think must be given at most, got both\n'])
  assert.is((await cli(['template', '--model', model, '--tools', file('t2.json', '[1]'), messages])).code, 2)
})

test('template: a file without one, and one that fails', async () => {
  const shape = { layers: 1, heads: 1, kvHeads: 1, headDim: 16, dim: 16, hidden: 16, vocab: 300, context: 64, type: 'F32', tied: true, seed: 1 } as const
  const bytes = Buffer.from(randomLlama(shape))
  const messages = file('hi.json', '[{"role":"user","content":"Hi"}]')
  const broken = Buffer.from(bytes), at = broken.indexOf('{% for m in messages %}')
  broken.write('{% xyz', at)
  const refused = await cli(['template', '--model', file('broken.gguf', broken), messages])
  assert.is(refused.code, 3)
  assert.match(refused.err, /^pocketkv: tokenizer\.chat_template could not be .*\n$/)
  const unnamed = Buffer.from(bytes)
  unnamed.write('tokenizer.chat_tempxxxx', unnamed.indexOf('tokenizer.chat_template'))
  const none = await cli(['run', '--model', file('none.gguf', unnamed), '--prompt', 'Hi', '--max-tokens', '1'])
  assert.is(none.code, 3)
  assert.match(none.err, /run --raw sends the text as it is/)
  assert.is((await cli(['run', '--model', file('none.gguf', unnamed), '--prompt', 'Hi', '--max-tokens', '1', '--raw'])).code, 0)
})

test('plan: all memory, and less of it where tokens stay behind', async () => {
  const whole = (await json('plan', '--tokens', '16000', '--method', 'full')).rows[0], some = await json('plan', '--tokens', '16000', '--method', 'full', '--propagate', 'fastkv,layer=1,rate=0.25')
  assert.equal([some.propagate.layer, some.propagate.rate, some.rows[0].tokensHeld], [1, 0.25, 10_000])
  const { held, peak, slack, ...parts } = whole.memory as Record<string, number>
  assert.ok(held! < peak! && some.rows[0].memory.peak < peak! && slack! > 0)
  assert.equal(Object.keys(parts), ['weights', 'cache', 'passing', 'hidden', 'angles', 'activations', 'scores', 'scratch'])
  assert.ok(Math.abs(Object.values(parts).reduce((a, b) => a + b, slack!) - peak!) < 1)
  const text = await cli(['plan', '--tokens', '16000', '--method', 'rocketkv'])
  for (const part of ['weights', 'hidden states', 'in all']) assert.match(text.out, new RegExp(`^${part} +[\\d.]+ [kMG]?B$`, 'm'))
  assert.equal([(await cli(['plan', '--tokens', '100', '--propagate', 'gemfilter'])).code, (await cli(['plan', '--tokens', '100', '--propagate', 'fastkv,layer=4'])).code], [2, 2])
})

withSmollm(test, 'plan and answer with the 135M model', async model => {
  const plan = await json('plan', '--model', model, '--tokens', '100000')
  const by = Object.fromEntries(plan.rows.map((row: any) => [row.method, row]))
  assert.equal([plan.fitsContext, plan.trainedContext], [false, 8192])
  assert.ok(by.full.kvBytes > 2e9 && by.rocketkv.kvBytes < by.full.kvBytes / 10)
  const { text, stopReason, architecture } = await json('run', '--model', model, '--prompt', 'What is the capital of France?', '--max-tokens', '24')
  assert.match(text, /Paris/)
  assert.is(stopReason, 'eos')
  assert.is(architecture, 'llama')
  assert.is((await cli(['run', '--model', model, '--prompt', 'a', '--context', '8193'])).code, 4)
})

test.run()
