import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { randomLlama } from '../gguf/write.ts'
import { cli, file, json, serve, start } from './program.ts'

const shape = { layers: 2, heads: 2, kvHeads: 1, headDim: 16, dim: 32, hidden: 32, vocab: 300, context: 4096, type: 'F32', tied: true, seed: 1 } as const
const model = file('chat.gguf', randomLlama(shape))
const talk = ['chat', '--model', model, '--temperature', '0', '--max-tokens', '8']

interface Said { prompt: string; text: string; tokens: number[]; stopReason: string; promptTokens: number; readTokens: number; readAgain: string | null; ledger: { tokensSeen: number } }
const turnsOf = async (input: string, ...flags: string[]): Promise<Said[]> => {
  const { code, out, err } = await cli([...talk, '--json', ...flags], { input })
  assert.is(code, 0, err)
  return JSON.parse(out).turns
}

test('piped questions: one answer each, told on standard output', async () => {
  const { code, out, err } = await cli(talk, { input: 'one\n\n  \ntwo\n/exit\nthree\n' })
  assert.is(code, 0, err)
  assert.is(err, '')
  const turns = await turnsOf('one\ntwo\n')
  assert.is(out, turns.map(turn => `${turn.text}\n`).join(''))
  assert.equal(turns.map(turn => turn.prompt), ['one', 'two'])
  assert.ok(turns[1]!.readTokens < turns[1]!.promptTokens)
  assert.is(turns[1]!.ledger.tokensSeen, turns[1]!.promptTokens + 7)
})

test('rocketkv-mt unless told otherwise, temperature 0.7', async () => {
  const own = await json('chat', '--model', model, '--max-tokens', '0')
  assert.equal([own.method, own.turns], ['rocketkv-mt', []])
  assert.is((await json('chat', '--model', model, '--method', 'snapkv')).method, 'snapkv')
  const drawn = async (...flags: string[]) => JSON.parse((await cli(['chat', '--model', model, '--max-tokens', '16', '--json', ...flags], { input: 'one\n' })).out).turns[0].text
  const [plain, said, greedy] = await Promise.all([drawn(), drawn('--temperature', '0.7'), drawn('--temperature', '0')])
  assert.is(plain, said)
  assert.is.not(plain, greedy)
})

test('/document stands before the next question and no other', async () => {
  const book = file('book.txt', 'the river ran past the mill')
  const turns = await turnsOf(`/document ${book}\nwho?\nwhere?\n`)
  assert.equal(turns.map(turn => turn.prompt), ['the river ran past the mill\n\nwho?', 'where?'])
  assert.equal(await turnsOf('who?\n', '--document', book).then(all => all.map(turn => turn.prompt)), ['the river ran past the mill\n\nwho?'])
  const server = await serve({ 'a.txt': 'from afar' })
  assert.is((await turnsOf(`/document ${server.url}/a.txt\n/document ${book}\nx\n`))[0]!.prompt, 'from afar\n\nthe river ran past the mill\n\nx')
  server.close()
})

test('/reset, /stats, /help', async () => {
  const turns = await turnsOf('one\ntwo\n/reset\none\n', '--system', 'Be brief.')
  assert.equal(turns[2]!.tokens, turns[0]!.tokens)
  assert.equal([turns[2]!.readTokens, turns[2]!.readAgain], [turns[0]!.readTokens, null])
  const { err } = await cli(talk, { input: '/stats\none\ntwo\n/stats\n/help\n' })
  assert.match(err, /^nothing was asked yet\n/)
  assert.match(err, /\d+ tokens in 2 turns; trained context 4096\nlast turn: \d+ tokens read at \d+\/s, \d+ were in the cache; 8 written at /)
  for (const name of ['/document', '/stats', '/reset', '/exit', '/help']) assert.ok(err.includes(`  ${name}`), name)
})

test('a line goes on after a backslash, and begins with a space where it is no command', async () => {
  const turns = await turnsOf('one\\\ntwo\n /exit\nend\\\n')
  assert.equal(turns.map(turn => turn.prompt), ['one\ntwo', '/exit', 'end'])
})

test('a template without a system message says so', async () => {
  const template = `{% for m in messages %}{% if m['role'] == 'system' %}{{ raise_exception('no system') }}{% endif %}[{{ m['role'] }}]{{ m['content'] }}{% endfor %}[assistant]`
  const strict = file('strict.gguf', randomLlama({ ...shape, template }))
  const { code, err, out } = await cli(['chat', '--model', strict, '--system', 'Be brief.', '--max-tokens', '4'], { input: 'Hi\n' })
  assert.equal([code, err], [0, 'the chat template takes no system message: it stands before the first question instead\n'])
  assert.ok(out.endsWith('\n'))
})

test('earlier turns that the template rewrites are read again, and it says so', async () => {
  const template = `{% for m in messages %}[{{ m['role'] }}]{% if loop.last %}{{ m['content'] }}{% endif %}{% endfor %}[assistant]`
  const { err } = await cli(['chat', '--model', file('forgetful.gguf', randomLlama({ ...shape, template })), '--max-tokens', '4', '--temperature', '0'], { input: 'one\ntwo\n' })
  assert.match(err, /^all \d+ tokens are read again: the chat template writes earlier turns differently now\n$/)
})

for (const [what, input, args, code, said] of [
  ['an unknown command', '/frobnicate\n', [], 2, /a command must be one of \/document, \/stats, \/reset, \/exit, \/help, got \/frobnicate/],
  ['no document', '/document\n', [], 2, /\/document must have a file or a URL, got nothing/],
  ['a document that is not there', '/document /no/such/file\n', [], 2, /\/no\/such\/file must be a text that can be read, got no such file/],
  ['a document from standard input', '', ['--document', '-'], 2, /standard input holds the questions, got -/],
  ['a word', '', ['word'], 2, /chat takes flags only, got word/],
  ['too long a question', `${'word '.repeat(5000)}\n`, [], 4, /must fit the context of 4096 tokens/],
  ['tools that are none', 'x\n', ['--tools', file('tools.json', '[1]')], 2, /must hold functions as JSON objects, got 1 at 0/],
] as const) test(`refused: ${what}`, async () => {
  const ended = await cli([...talk, ...args], { input })
  assert.is(ended.code, code, ended.err)
  assert.match(ended.err, said)
})

test('Ctrl-C stops the answer; a second one at the prompt leaves', async () => {
  const run = start(['chat', '--model', model, '--temperature', '0', '--ignore-eos', '--max-tokens', '4000'], { input: null })
  run.type('one\n')
  await run.until(out => out.length > 20)
  run.interrupt()
  await run.until(out => out.endsWith('\n'))
  const answered = run.out().length
  run.type('two\n')
  await run.until(out => out.length > answered + 20)
  run.interrupt()
  await run.until(out => out.endsWith('\n') && out.length > answered + 20)
  run.interrupt()
  const { code, err } = await run.ended
  assert.equal([code, err], [130, ''])
})

test('Ctrl-C while the model loads leaves', async () => {
  let asked = (): void => {}
  const begun = new Promise<void>(done => asked = done)
  const server = await serve({ 'm.gguf': randomLlama(shape) }, { stall: 100, asked: () => asked() })
  const run = start(['chat', '--model', `${server.url}/m.gguf`], { input: null })
  await begun
  await new Promise(done => setTimeout(done, 300))
  run.interrupt()
  const { code, err } = await run.ended
  assert.equal([code, err], [130, 'pocketkv: interrupted\n'])
  server.close()
})

test.run()
