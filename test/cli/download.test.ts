// Downloads against a server here that breaks, stalls and lies.
import { createHash } from 'node:crypto'
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { download, type Downloading } from '../../src/cli/download.ts'

const data = Buffer.from(Array.from({ length: 20_000 }, (_, i) => i * 7919 >> 3 & 255))
const sum = createHash('sha256').update(data).digest('hex')
const folder = mkdtempSync(join(tmpdir(), 'pocketkv-download-'))
process.on('exit', () => rmSync(folder, { recursive: true, force: true }))
let places = 0

interface Asked { readonly request: IncomingMessage; readonly response: ServerResponse; readonly first: number; readonly index: number; readonly path: string }
type Serve = (asked: Asked) => void

/** Quick to give up, so that tests are. */
const quick: Downloading = { stallMs: 300, pauseMs: 1 }

async function served(answer: Serve, body: (url: URL, asked: string[], path: string) => Promise<void>): Promise<void> {
  const asked: string[] = [], path = join(folder, `${places++}`, 'm.gguf')
  const server = createServer((request, response) => {
    const first = Number(/^bytes=(\d+)-/.exec(request.headers.range ?? '')?.[1] ?? 0)
    asked.push(`${request.url} ${first}`)
    answer({ request, response, first, index: asked.length - 1, path })
  })
  await new Promise<void>(done => server.listen(0, '127.0.0.1', done))
  try {
    await body(new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}/m.gguf`), asked, path)
  } finally {
    server.closeAllConnections()
    await new Promise(done => server.close(done))
  }
}

/** Breaks the connection once all `bytes` of the file that were sent are written: the platform forgets what was not read before. */
function breakAfter({ response, path }: Asked, bytes: number): void {
  const timer = setInterval(() => {
    if (!response.destroyed && (!existsSync(`${path}.part`) || statSync(`${path}.part`).size < bytes)) return
    clearInterval(timer)
    response.destroy()
  }, 5)
}

/** The end of the file from `first`, whole or broken off at `to`; headers may lie. */
function send(asked: Asked, { to = data.length, total = data.length, headers = {} }: { to?: number; total?: number; headers?: Record<string, string> } = {}): void {
  const { response, first } = asked
  response.writeHead(first ? 206 : 200, { 'content-length': total - first, ...first ? { 'content-range': `bytes ${first}-${total - 1}/${total}` } : {}, ...headers })
  if (to === total) return void response.end(data.subarray(first, to))
  response.write(data.subarray(first, to))
  breakAfter(asked, to)
}
const whole: Serve = asked => send(asked)
const isWhole = (path: string): void => assert.ok(readFileSync(path).equals(data))
const nothingLeft = (path: string): void => {
  for (const name of ['', '.part', '.part.json', '.json', '.lock']) assert.is(existsSync(path + name), false, name)
}

async function refused(promise: Promise<unknown>, code: string, message: RegExp): Promise<void> {
  try {
    await promise
  } catch (error) {
    assert.is((error as { code?: string }).code, code, (error as Error).message)
    return assert.match((error as Error).message, message)
  }
  assert.unreachable(`must be refused: ${message}`)
}

test('a whole file, with progress and what it came from', () => served(asked => send(asked, { headers: { etag: `"${sum}"` } }), async (url, asked, path) => {
  const steps: number[] = []
  await download(new URL('?signature=secret', url), path, { ...quick, progress: (done, total) => { steps.push(done); assert.is(total, data.length) } })
  isWhole(path)
  assert.equal([asked.length, steps[0], steps.at(-1)], [1, 0, data.length])
  const origin = JSON.parse(readFileSync(`${path}.json`, 'utf8'))
  assert.equal([origin.url, origin.size, origin.sha256, origin.tag], [url.href, data.length, sum, `"${sum}"`])
  for (const name of ['.part', '.part.json', '.lock']) assert.is(existsSync(path + name), false)
}))

test('a connection that breaks is taken up where it broke', () => served(asked => send(asked, asked.index < 3 ? { to: 5000 * (asked.index + 1) } : {}), async (url, asked, path) => {
  await download(url, path, quick)
  isWhole(path)
  assert.equal(asked, ['/m.gguf 0', '/m.gguf 5000', '/m.gguf 10000', '/m.gguf 15000'])
}))

test('a server that stalls is left and asked again', () => served(asked => {
  if (asked.index) return send(asked)
  asked.response.writeHead(200, { 'content-length': data.length })
  asked.response.write(data.subarray(0, 3000))
}, async (url, asked, path) => {
  await download(url, path, quick)
  isWhole(path)
  assert.equal(asked, ['/m.gguf 0', '/m.gguf 3000'])
}))

test('a server that stalls again and again is an error; what came stays for the next time', () => {
  let silent = true
  return served(asked => {
    if (!silent) return send(asked)
    asked.response.writeHead(asked.first ? 206 : 200, { 'content-length': data.length - asked.first, ...asked.first ? { 'content-range': `bytes ${asked.first}-${data.length - 1}/${data.length}` } : {} })
    asked.response.flushHeaders()
    if (!asked.first) asked.response.write(data.subarray(0, 3000))
  }, async (url, asked, path) => {
    await refused(download(url, path, { ...quick, stallMs: 100 }), 'model', /must send all of 20000 bytes, got 3000 and nothing for 0\.1 s, 6 times; what came is kept, ask again to go on$/)
    assert.is(readFileSync(`${path}.part`).length, 3000)
    silent = false
    await download(url, path, quick)
    isWhole(path)
    assert.is(asked.at(-1), '/m.gguf 3000')
  })
})

test('a server that never answers', () => served(() => {}, async (url, asked, path) => {
  await refused(download(url, path, { ...quick, stallMs: 50 }), 'model', /must answer within 0\.05 s, got nothing, 6 times/)
  assert.is(asked.length, 6)
  nothingLeft(path)
}))

test('a server that is not there', async () => {
  let gone: URL | undefined
  await served(whole, async url => { gone = url })
  await refused(download(gone!, join(folder, 'gone', 'm.gguf'), quick), 'model', /must be reachable, got no server there, 6 times/)
})

test('a busy server is asked again', () => served(asked => asked.index < 2 ? void asked.response.writeHead(503, { 'retry-after': '0' }).end('busy') : send(asked), async (url, asked, path) => {
  await download(url, path, quick)
  isWhole(path)
  assert.is(asked.length, 3)
}))

test('without ranges a broken download begins again', () => served(asked => send({ ...asked, first: 0 }, asked.index ? {} : { to: 5000 }), async (url, asked, path) => {
  await download(url, path, quick)
  isWhole(path)
  assert.equal(asked, ['/m.gguf 0', '/m.gguf 5000'])
}))

test('an abort stops at once and keeps what came', () => served(asked => {
  asked.response.writeHead(200, { 'content-length': data.length })
  asked.response.write(data.subarray(0, 3000))
}, async (url, asked, path) => {
  const stop = new AbortController(), reason = new Error('enough')
  await download(url, path, { stallMs: 60_000, signal: stop.signal, progress: done => { if (done) stop.abort(reason) } }).then(() => assert.unreachable(), error => assert.is(error, reason))
  assert.equal([asked.length, readFileSync(`${path}.part`).length, existsSync(`${path}.lock`)], [1, 3000, false])
}))

/** An earlier program left 5000 bytes. */
async function begun(url: URL, path: string, of: Buffer, tag: string | null): Promise<void> {
  const stop = new AbortController()
  await download(url, path, { ...quick, signal: stop.signal, progress: done => { if (done) stop.abort() } }).catch(() => {})
  writeFileSync(`${path}.part`, of)
  writeFileSync(`${path}.part.json`, JSON.stringify({ url: url.href, size: data.length, tag, sha256: null }))
}

test('what is there of another version is not used', () => served(asked => send(asked, { headers: { etag: '"new"' } }), async (url, asked, path) => {
  await begun(url, path, Buffer.alloc(5000), '"old"')
  asked.length = 0
  await download(url, path, quick)
  isWhole(path)
  assert.equal(asked, ['/m.gguf 5000', '/m.gguf 0'])
}))

test('all of it was there already', () => served(asked => asked.first === data.length
  ? void asked.response.writeHead(416, { 'content-range': `bytes */${data.length}` }).end() : send(asked), async (url, asked, path) => {
  await begun(url, path, data, null)
  asked.length = 0
  await download(url, path, quick)
  isWhole(path)
  assert.equal(asked, ['/m.gguf 20000'])
}))

const lies: [string, Serve, RegExp][] = [
  ['another checksum', asked => send(asked, { headers: { etag: `"${'0'.repeat(64)}"` } }), new RegExp(`must have the sha256 0{64}, got ${sum}$`)],
  ['a checksum on the way', asked => asked.request.url === '/m.gguf'
    ? void asked.response.writeHead(302, { location: '/other', 'x-linked-etag': `"${'1'.repeat(64)}"` }).end() : send(asked), /must have the sha256 1{64}, got/],
  ['another size on the way', asked => asked.request.url === '/m.gguf'
    ? void asked.response.writeHead(302, { location: '/other', 'x-linked-size': '19999' }).end() : send(asked), /must have the 19999 bytes that it was announced with, got 20000$/],
  ['another size each time', asked => send(asked, { to: asked.first + 4000, total: data.length + asked.index }), /must not change while it is downloaded, got another version of it$/],
  ['another tag each time', asked => send(asked, { to: asked.first + 4000, headers: { etag: `"${asked.index}"` } }), /must not change while it is downloaded, got another version of it$/],
  ['more than it announced', asked => {
    if (!asked.first) return send(asked, { to: 5000 })
    asked.response.writeHead(206, { 'content-range': `bytes ${asked.first}-${data.length - 1}/${data.length}` }).end(Buffer.alloc(30_000))
  }, /must send the 20000 bytes that it announced, got more$/],
  ['other bytes than asked for', asked => {
    if (!asked.first) return send(asked, { to: 5000 })
    asked.response.writeHead(206, { 'content-range': `bytes 4000-${data.length - 1}/${data.length}` }).end(data.subarray(4000))
  }, /must go on from byte 5000, got byte 4000$/],
  ['less than it announced, and nothing behind it', asked => asked.first ? void asked.response.writeHead(416).end() : send(asked, { to: 5000 }), /must go on from byte 5000, got status 416$/],
  ['no length', ({ response }) => { response.writeHead(200); response.write(data); response.end() }, /must tell its length, got none$/],
  ['packed bytes', ({ response }) => void response.writeHead(200, { 'content-encoding': 'br', 'content-length': 4 }).end('....'), /must be sent as it is, got Content-Encoding br$/],
  ['nothing found', ({ response }) => void response.writeHead(404).end('no'), /got 404; is the name right\?$/],
  ['no entry', ({ response }) => void response.writeHead(401).end('no'), /got 401; HF_TOKEN may hold a token/],
  ['redirects for ever', ({ response }) => void response.writeHead(302, { location: '/m.gguf' }).end(), /must lead to a file in at most 10 redirects, got more$/],
  ['a redirect elsewhere', ({ response }) => void response.writeHead(302, { location: 'file:///etc/passwd' }).end(), /must lead to http or https, got file:$/],
]
for (const [what, answer, message] of lies)
  test(`refused: ${what}`, () => served(answer, async (url, _, path) => {
    await refused(download(url, path, quick), 'model', message)
    assert.is(existsSync(path), false)
    assert.is(existsSync(`${path}.lock`), false)
    // What may be wrong does not stay; what was broken off before a refusal may be right.
    if (!/byte 4000/.test(String(message))) nothingLeft(path)
  }))

test('what proves who asks goes to the first server alone', () => served(whole, async (last, _, path) => {
  const heads: (string | undefined)[] = []
  await served(({ request, response }) => {
    heads.push(request.headers.authorization)
    response.writeHead(302, { location: `http://localhost:${last.port}/m.gguf` }).end()
  }, url => download(url, path, { ...quick, headers: { Authorization: 'Bearer secret' } }).then(() => {}))
  isWhole(path)
  assert.equal(heads, ['Bearer secret'])
}))

test('one program at a time; a lock of one that is gone holds nobody up', () => served(whole, async (url, _, path) => {
  await download(url, path, quick)
  rmSync(path)
  writeFileSync(`${path}.lock`, String(process.ppid))
  await refused(download(url, path, quick), 'usage', new RegExp(`by one program at a time, got another one \\(process ${process.ppid}\\)$`))
  writeFileSync(`${path}.lock`, '999999999')
  await download(url, path, quick)
  isWhole(path)
}))

test.run()
