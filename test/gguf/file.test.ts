import { mkdtemp, rm, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { GgufError, openSource, type ByteSource } from '../../src/gguf/index.ts'

const test = suite<{ folder: string; path: string }>('sources')
const data = Uint8Array.from({ length: 100_003 }, (_, i) => i * 31 ^ i >> 8)

test.before(async context => {
  context.folder = await mkdtemp(join(tmpdir(), 'pocketkv-'))
  context.path = join(context.folder, 'bytes of all kinds #1.bin')
  await writeFile(context.path, data)
})
test.after(context => rm(context.folder, { recursive: true }))

const sources: [string, (path: string) => string | URL | Blob | ArrayBuffer | Uint8Array, RegExp][] = [
  ['a path', path => path, /#1\.bin$/],
  ['a file URL', path => pathToFileURL(path), /#1\.bin$/],
  ['a file URL as text', path => pathToFileURL(path).href, /#1\.bin$/],
  ['a Blob', () => new Blob([data]), /^blob$/],
  ['a File', () => Object.assign(new Blob([data]), { name: 'model.gguf' }), /^model\.gguf$/],
  ['a blob URL', () => URL.createObjectURL(new Blob([data])), /^blob$/],
  ['a data URL', () => `data:;base64,${Buffer.from(data).toString('base64')}`, /^blob$/],
  ['bytes', () => data, /^bytes$/],
  ['bytes within others', () => Buffer.concat([Buffer.alloc(5), data, Buffer.alloc(5)]).subarray(5, -5), /^bytes$/],
  ['an ArrayBuffer', () => data.buffer, /^bytes$/],
]

const same = (a: Uint8Array, b: Uint8Array): void => assert.ok(Buffer.compare(a, b) === 0, 'the bytes differ')

async function refused(promise: Promise<unknown>, kind: new (...all: never[]) => Error, message: RegExp): Promise<void> {
  try {
    await promise
  } catch (error) {
    assert.instance(error, kind)
    return assert.match((error as Error).message, message)
  }
  assert.unreachable(`must be refused: ${message}`)
}

for (const [what, make, name] of sources) {
  test(`${what}: ranges, all of it, nothing, several at once`, async ({ path }) => {
    const source = await openSource(make(path))
    assert.match(source.name, name)
    assert.is(source.size, data.length)
    const ranges: [number, number][] = [[0, data.length], [0, 1], [data.length - 1, 1], [77, 40_000], [5, 0], [data.length, 0]]
    await Promise.all(ranges.map(async ([offset, bytes]) => {
      const into = new Uint8Array(bytes + 2).fill(9)
      await source.read(offset, into.subarray(1, bytes + 1))
      same(into.subarray(1, bytes + 1), data.subarray(offset, offset + bytes))
      assert.equal([into[0], into[bytes + 1]], [9, 9])
    }))
    await source.close()
  })

  test(`${what}: into WebAssembly memory, shared or not`, async ({ path }) => {
    const source = await openSource(make(path))
    for (const shared of [false, true]) {
      const memory = new WebAssembly.Memory({ initial: 2, maximum: 2, shared })
      const into = new Uint8Array(memory.buffer, 4096, 50_000)
      await source.read(123, into)
      same(Uint8Array.from(into), data.subarray(123, 50_123))
    }
    await source.close()
  })

  test(`${what}: outside is a mistake, an abort is its reason`, async ({ path }) => {
    const source = await openSource(make(path))
    await refused(source.read(data.length - 3, new Uint8Array(4)), RangeError, /4 bytes at 100000 must lie within the 100003 bytes of/)
    await refused(source.read(-1, new Uint8Array(1)), RangeError, /must lie within/)
    const reason = new RangeError('enough')
    await refused(source.read(0, new Uint8Array(8), AbortSignal.abort(reason)), RangeError, /^enough$/)
    await refused(openSource(make(path), AbortSignal.abort(reason)), RangeError, /^enough$/)
    await source.close()
    await source.close()
  })
}

test('paths that are no files', async ({ folder, path }) => {
  await refused(openSource(join(folder, 'absent.gguf')), GgufError, /absent\.gguf must be a readable file, got ENOENT$/)
  await refused(openSource(folder), GgufError, /must be a file, got a folder$/)
  await refused(openSource('ftp://host/model.gguf'), GgufError, /must be a path or a URL of http, https, file, blob or data$/)
  await refused(openSource('blob:nodedata:gone'), GgufError, /must hold data/)
  await refused(openSource(7 as never), TypeError, /must be a path, URL, Blob or bytes, got number$/)
  await refused(openSource('c:\\absent.gguf'), GgufError, /c:\\absent\.gguf must be a readable file, got ENOENT$/)
  const source: ByteSource = await openSource(path)
  await source.close()
  await refused(source.read(0, new Uint8Array(1)), Error, /is closed$/)
})

test('a file that shrinks while it is read', async ({ folder }) => {
  const path = join(folder, 'shrinks.bin')
  await writeFile(path, data)
  const source = await openSource(path)
  await truncate(path, 500)
  await refused(source.read(400, new Uint8Array(200)), GgufError, /must have 100003 bytes as when it was opened, it ends at 500$/)
  await source.close()
})

test.run()
