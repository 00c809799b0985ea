import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { GgufError, openSource, readHeader, type ByteSource } from '../../src/gguf/index.ts'
import { randomLlama } from './write.ts'

const model = randomLlama({ layers: 2, heads: 4, kvHeads: 2, headDim: 16, dim: 64, hidden: 64, vocab: 300, context: 64, type: 'F32', tied: false, seed: 9 })

/** One request with the range it asks for. */
interface Asked { request: IncomingMessage; response: ServerResponse; first: number; last: number; index: number }
type Answer = (asked: Asked) => void

/** Runs `body` against a server that answers as told; requests come back for counting. */
async function served(answer: Answer, body: (url: string, asked: string[]) => Promise<void>): Promise<void> {
  const asked: string[] = []
  const server = createServer((request, response) => {
    const [, first, last] = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '') ?? [, '0', String(model.length - 1)]
    asked.push(`${request.method} ${first}-${last}`)
    answer({ request, response, first: Number(first), last: Number(last), index: asked.length - 1 })
  })
  await new Promise<void>(done => server.listen(0, '127.0.0.1', done))
  try {
    await body(`http://127.0.0.1:${(server.address() as AddressInfo).port}/models/random.gguf?signature=secret`, asked)
  } finally {
    server.closeAllConnections()
    await new Promise(done => server.close(done))
  }
}

const ranged: Answer = ({ response, first, last }) => {
  response.writeHead(206, { 'content-range': `bytes ${first}-${last}/${model.length}`, 'content-length': last - first + 1 })
  response.end(model.subarray(first, last + 1))
}
const whole: Answer = ({ response }) => {
  response.writeHead(200, { 'content-length': model.length })
  response.end(model)
}
/** The first request (of opening) is answered well, the others by `answer`. */
const later = (answer: Answer): Answer => asked => asked.index === 0 ? ranged(asked) : answer(asked)

const part = async (source: ByteSource, offset: number, bytes: number): Promise<Uint8Array> => {
  const into = new Uint8Array(bytes)
  await source.read(offset, into)
  return into
}
const same = (got: Uint8Array, offset: number): void =>
  assert.ok(Buffer.compare(got, model.subarray(offset, offset + got.length)) === 0, `the bytes at ${offset} differ`)

async function refused(promise: Promise<unknown>, message: RegExp): Promise<void> {
  try {
    await promise
  } catch (error) {
    assert.instance(error, GgufError)
    return assert.match((error as Error).message, message)
  }
  assert.unreachable(`must be refused: ${message}`)
}

for (const [what, answer] of [['with', ranged], ['without', whole]] as const)
  test(`a server ${what} ranges: the header and every tensor`, () => served(answer, async url => {
    const source = await openSource(new URL(url))
    assert.match(source.name, /^http:\/\/127\.0\.0\.1:\d+\/models\/random\.gguf$/)
    assert.is(source.size, model.length)
    const header = await readHeader(source)
    assert.equal(header, await readHeader(await openSource(model)))
    await source.close()
    const again = await openSource(url)
    for (const tensor of header.tensors.values()) same(await part(again, tensor.offset, tensor.bytes), tensor.offset)
    await again.close()
    await again.read(0, new Uint8Array(1)).then(() => assert.unreachable(), (e: Error) => assert.match(e.message, /is closed$/))
  }))

test('with ranges: each read asks for its bytes and no others', () => served(ranged, async (url, asked) => {
  const source = await openSource(url)
  same(await part(source, 1000, 50), 1000)
  const memory = new Uint8Array(new WebAssembly.Memory({ initial: 1, maximum: 1, shared: true }).buffer, 8, 20)
  await source.read(10, memory)
  same(Uint8Array.from(memory), 10)
  assert.equal(asked, ['GET 0-0', 'GET 1000-1049', 'GET 10-29'])
}))

test('without ranges: forward in one download, backwards in another, not for ever', () => served(whole, async (url, asked) => {
  const source = await openSource(url)
  const forward = [part(source, 0, 10), part(source, 5000, 10), part(source, 5010, 10)] // at once: they queue
  for (const [i, offset] of [0, 5000, 5010].entries()) same((await forward[i])!, offset)
  assert.is(asked.length, 1)
  same(await part(source, 100, 10), 100)
  assert.is(asked.length, 2)
  same(await part(source, 50, 10), 50)
  same(await part(source, 20, 10), 20)
  await refused(part(source, 10, 10), /must answer ranges to be read out of order, and was downloaded 4 times already$/)
}))

test('a total that is hidden is asked for by HEAD', () => served(asked => {
  const { request, response, first, last } = asked
  if (request.method === 'HEAD') return void response.writeHead(200, { 'content-length': model.length }).end()
  response.writeHead(206, { 'content-length': last - first + 1 }).end(model.subarray(first, last + 1))
}, async (url, asked) => {
  const source = await openSource(url)
  assert.is(source.size, model.length)
  same(await part(source, 64, 64), 64)
  assert.is(asked[1]?.slice(0, 4), 'HEAD')
}))

test('a connection that breaks is taken up where it broke', () => served(later(({ response, first, last, index }) => {
  response.writeHead(206, { 'content-range': `bytes ${first}-${last}/${model.length}`, 'content-length': last - first + 1 })
  if (index > 2) return void response.end(model.subarray(first, last + 1))
  response.write(model.subarray(first, first + 100), () => setTimeout(() => response.destroy(), 20))
}), async (url, asked) => {
  same(await part(await openSource(url), 500, 1000), 500)
  assert.equal(asked, ['GET 0-0', 'GET 500-1499', 'GET 600-1499', 'GET 700-1499'])
}))

test('a connection that always breaks is an error', () => served(later(({ response, first, last }) => {
  response.writeHead(206, { 'content-range': `bytes ${first}-${last}/${model.length}`, 'content-length': last - first + 1 })
  response.write(model.subarray(first, first + 100), () => setTimeout(() => response.destroy(), 20))
}), async url => {
  await refused(part(await openSource(url), 0, 1000), /must send 800 bytes from 200, got 100 before the connection broke$/)
}))

test('a whole answer that breaks off is an error', () => served(({ response }) => {
  response.writeHead(200, { 'content-length': model.length })
  response.write(model.subarray(0, 5000), () => setTimeout(() => response.destroy(), 20))
}, async url => {
  await refused(part(await openSource(url), 0, 9000), /must send \d+ bytes, got 5000 before the connection broke$/)
}))

const lies: [string, Answer, RegExp][] = [
  ['other bytes', later(({ response, first, last }) => {
    response.writeHead(206, { 'content-range': `bytes ${first + 1}-${last + 1}/${model.length}` }).end(model.subarray(first + 1, last + 2))
  }), /must send bytes 10-109, got 11-110$/],
  ['fewer bytes', later(({ response, first, last }) => {
    response.writeHead(206, { 'content-range': `bytes ${first}-${last}/${model.length}` }).end(model.subarray(first, last))
  }), /must send 100 bytes from 10, got 99$/],
  ['more bytes', later(({ response, first, last }) => {
    response.writeHead(206, { 'content-range': `bytes ${first}-${last}/${model.length}` }).end(model.subarray(first, last + 2))
  }), /must send 100 bytes from 10, got more$/],
  ['another size', later(({ response, first, last }) => {
    response.writeHead(206, { 'content-range': `bytes ${first}-${last}/${model.length + 1}` }).end(model.subarray(first, last + 1))
  }), /must not change while it is read, got another version of it$/],
  ['another tag', ({ response, first, last, index }) => {
    response.writeHead(206, { 'content-range': `bytes ${first}-${last}/${model.length}`, etag: `"${index}"` }).end(model.subarray(first, last + 1))
  }, /must not change while it is read, got another version of it$/],
  ['all of it at once', later(whole), /must go on answering ranges, got status 200$/],
  ['nothing found', ({ response }) => void response.writeHead(404).end('no'), /must answer with status 206 or 200, got 404$/],
  ['a page of text later', later(({ response }) => void response.writeHead(503).end('busy')), /must answer with status 206 or 200, got 503$/],
  ['no length', ({ response }) => { response.writeHead(200); response.write(model); response.end() }, /must answer ranges or tell its length, got status 200 without Content-Length$/],
  ['no total anywhere', ({ response, request, first, last }) => {
    if (request.method === 'HEAD') return void response.writeHead(405).end()
    response.writeHead(206, { 'content-range': `bytes ${first}-${last}/*` }).end(model.subarray(first, last + 1))
  }, /must tell its length, got neither a Content-Range with a total nor a Content-Length$/],
  ['packed bytes', ({ response }) => void response.writeHead(200, { 'content-encoding': 'br', 'content-length': 4 }).end('....'), /must be sent as it is, got Content-Encoding br$/],
]
for (const [what, answer, message] of lies)
  test(`a server that sends ${what}`, () => served(answer, async url => {
    await refused(openSource(url).then(source => part(source, 10, 100)), message)
  }))

test('a server that is not there', () => served(ranged, async () => {}).then(() =>
  refused(openSource('http://127.0.0.1:1/model.gguf'), /^http:\/\/127\.0\.0\.1:1\/model\.gguf must be reachable, got /)))

for (const [what, answer] of [['with', later(({ response }) => { response.writeHead(206); response.write('x') })], ['without',
  ({ response }) => { response.writeHead(200, { 'content-length': model.length }); response.write('x') }]] as [string, Answer][])
  test(`an abort ends the waiting for a server ${what} ranges that falls silent`, () => served(answer, async url => {
    const source = await openSource(url)
    const stop = new AbortController(), reason = new Error('enough')
    setTimeout(() => stop.abort(reason), 50)
    await source.read(0, new Uint8Array(100), stop.signal).then(() => assert.unreachable(), error => assert.is(error, reason))
    await source.close()
  }))

test.run()
