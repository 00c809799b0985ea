import { readFileSync } from 'node:fs'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { tiny } from '../models.ts'
import { file, serve, start } from './program.ts'

/** Far above what stopping takes, far below what finishing would. */
const soonMs = 5000

const pause = (ms: number) => new Promise(done => setTimeout(done, ms))
const long = file('long.txt', 'the river ran past the mill and the road went on. '.repeat(2000))
/** Runs on for minutes unless it is stopped. */
const endless = ['run', '--prompt', 'The', '--raw', '--ignore-eos', '--max-tokens', '30000']

/** The program with its model on a server, once it has asked for the model's last bytes. */
async function loaded(args: readonly string[]) {
  const model = readFileSync(tiny)
  let asked = performance.now()
  const server = await serve({ 'm.gguf': model }, { asked: () => { asked = performance.now() } })
  const run = start([...args, '--model', `${server.url}/m.gguf`])
  const begun = performance.now()
  while (asked < begun || performance.now() - asked < 1500) await pause(50)
  server.close()
  return run
}

async function stopped(run: ReturnType<typeof start>) {
  const started = performance.now()
  run.interrupt()
  const ended = await run.ended
  assert.ok(performance.now() - started < soonMs, `stopping must take less than ${soonMs} ms, got ${performance.now() - started}`)
  assert.is(ended.code, 130, ended.err)
  assert.is(/\n {4}at /.test(ended.err), false, ended.err)
  return ended
}

test('while the model loads', async () => {
  let began = (): void => {}
  const asked = new Promise<void>(done => began = done)
  const server = await serve({ 'm.gguf': readFileSync(tiny) }, { stall: 200_000, asked: () => began() })
  try {
    const run = start([...endless, '--json', '--model', `${server.url}/m.gguf`])
    await asked
    await pause(500)
    const { out, err } = await stopped(run)
    assert.equal(JSON.parse(out), { error: { code: 'interrupted', message: 'interrupted' } })
    assert.is(err, 'pocketkv: interrupted\n')
  } finally {
    server.close()
  }
})

test('while a document\'s server says nothing', async () => {
  const server = await serve({ 'd.txt': 'x'.repeat(500_000) }, { stall: 1000 })
  try {
    const run = start(['run', '--document', `${server.url}/d.txt`, '--prompt', 'x'])
    await pause(1000)
    assert.is((await stopped(run)).err, 'pocketkv: interrupted\n')
  } finally {
    server.close()
  }
})

test('while standard input is waited for', async () => {
  const run = start(['tokenize', '-'], { input: null })
  await pause(1000)
  assert.is((await stopped(run)).err, 'pocketkv: interrupted\n')
})

test('while the prompt is read: --json still tells', async () => {
  const run = await loaded(['run', '--document', long, '--prompt', 'What?', '--json'])
  const { out } = await stopped(run)
  const r = JSON.parse(out)
  assert.equal([r.stopReason, r.tokens, r.text], ['abort', [], ''])
  assert.type(r.ledger.kvBytes, 'number')
})

test('while it answers: --json has what there is', async () => {
  const { out } = await stopped(await loaded([...endless, '--json']))
  const r = JSON.parse(out)
  assert.is(r.stopReason, 'abort')
  assert.ok(r.tokens.length > 0 && r.tokens.length < 30_000)
  assert.ok(r.text.length > 0)
})

test('while it answers in words: what was said stays', async () => {
  const run = start(endless)
  await run.until(out => out.length > 0)
  const { out, err } = await stopped(run)
  assert.ok(out.length > 1 && out.endsWith('\n'))
  assert.match(err, /tokens read/)
})

test('a reader that goes away ends it quietly', async () => {
  const run = start(endless)
  await run.until(out => out.length > 0)
  run.hangUp()
  const { code, err } = await run.ended
  assert.is(code, 0)
  assert.is(err, '')
})

test.run()
