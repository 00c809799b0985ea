// Models from a hub that runs here: names, quantisations, split files, the cache folder, offline.
import { createHash } from 'node:crypto'
import { existsSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { choose, quantOf } from '../../src/cli/hub.ts'
import { splitModel } from '../gguf/split.ts'
import { randomLlama, writeGguf } from '../gguf/write.ts'
import { cli, file, type Ended } from './program.ts'

const shape = { layers: 1, heads: 2, kvHeads: 1, headDim: 16, dim: 32, hidden: 32, vocab: 300, context: 256, type: 'Q8_0', tied: true, seed: 1 } as const
const model = randomLlama(shape), other = randomLlama({ ...shape, seed: 2 })
const parts = await splitModel(model, 2)
const strange = writeGguf({ metadata: { 'general.architecture': 'mamba' }, tensors: [{ name: 'token_embd.weight', shape: [20_000, 32], type: 'F32', values: new Float32Array(640_000) }] })
const files: Record<string, Uint8Array> = {
  'a/b/tiny-Q8_0.gguf': other, 'a/b/tiny-Q4_K_M.gguf': model, 'a/b/mmproj-F16.gguf': model, 'a/b/README.md': Buffer.from('hi'),
  'a/split/m-Q8_0-00001-of-00002.gguf': parts[0]!, 'a/split/m-Q8_0-00002-of-00002.gguf': parts[1]!,
  'a/strange/s.gguf': strange, 'gated/c/x.gguf': model, 'a/many/one.gguf': model, 'a/many/two.gguf': other, 'a/empty/README.md': Buffer.from('hi'),
}

const asked: string[] = []
let served = 0
/** As the hub does: a list of files, and files behind a redirect that names size and checksum. */
const server = createServer((request, response) => {
  const path = decodeURIComponent(request.url ?? '')
  asked.push(path)
  if (path.startsWith('/gated') && request.headers.authorization !== 'Bearer right') return void response.writeHead(401).end()
  const listed = /^\/api\/models\/(.*)$/.exec(path)?.[1]
  if (listed !== undefined) {
    const siblings = Object.keys(files).filter(name => name.startsWith(`${listed}/`)).map(name => ({ rfilename: name.slice(listed.length + 1) }))
    return void response.writeHead(siblings.length ? 200 : 404, { 'content-type': 'application/json' }).end(JSON.stringify({ siblings }))
  }
  const [, repo, name] = /^\/([^/]+\/[^/]+)\/resolve\/main\/(.*)$/.exec(path) ?? []
  const data = files[repo === undefined ? path.slice('/cdn/'.length) : `${repo}/${name}`]
  if (!data) return void response.writeHead(404).end('no')
  const etag = `"${createHash('sha256').update(data).digest('hex')}"`
  if (repo !== undefined) return void response.writeHead(302, { location: `/cdn/${repo}/${name}`, 'x-linked-size': data.length, 'x-linked-etag': etag }).end()
  const range = /bytes=(\d+)-(\d*)/.exec(request.headers.range ?? '')
  const first = Number(range?.[1] ?? 0), end = Math.min(data.length, range?.[2] ? Number(range[2]) + 1 : data.length)
  served += end - first
  response.writeHead(range ? 206 : 200, { 'content-length': end - first, ...range ? { 'content-range': `bytes ${first}-${end - 1}/${data.length}` } : {} }).end(data.subarray(first, end))
})
await new Promise<void>(done => server.listen(0, '127.0.0.1', done))
server.unref()
const hub = `http://127.0.0.1:${(server.address() as AddressInfo).port}`

let homes = 0
const home = (): string => file(`home-${homes++}`)
const call = (place: string, args: readonly string[], env: Record<string, string> = {}): Promise<Ended> => cli(args, { env: { POCKETKV_HOME: place, HF_ENDPOINT: hub, ...env } })
const ask = (name: string): string[] => ['run', '--model', name, '--prompt', 'Hi', '--max-tokens', '3', '--quiet']
const listed = async (place: string): Promise<{ name: string; bytes: number; complete: boolean; paths: string[] }[]> => JSON.parse((await call(place, ['models', '--json'])).out).models

async function refused(place: string, args: readonly string[], code: number, said: RegExp, env: Record<string, string> = {}): Promise<void> {
  const ended = await call(place, args, env)
  assert.is(ended.code, code, ended.err)
  assert.match(ended.err, said)
}

const own = await cli(ask(file('own.gguf', model)))

test('hf: downloaded once, then found without asking', async () => {
  const place = home()
  const first = await call(place, ask('hf:a/b/tiny-Q4_K_M.gguf'))
  assert.equal([first.code, first.out], [0, own.out], first.err)
  asked.length = 0
  for (const env of [{}, { POCKETKV_OFFLINE: '1' }]) assert.is((await call(place, ask('hf:a/b/tiny-Q4_K_M.gguf'), env)).out, own.out)
  assert.equal(asked, [])
  assert.equal(await listed(place), [{ name: 'hf:a/b/tiny-Q4_K_M.gguf', bytes: model.length, complete: true, paths: [join(place, 'models', 'hf', 'a', 'b', 'tiny-Q4_K_M.gguf')] }])
})

test('hf: a quantisation by its name, or the one that serves best', async () => {
  const place = home()
  const [best, named] = await Promise.all([call(place, ['models', 'get', 'hf:a/b']), call(place, ['models', 'get', 'hf:a/b:q8_0'])])
  assert.match(best.out, /tiny-Q4_K_M\.gguf\n$/)
  assert.match(named.out, /tiny-Q8_0\.gguf\n$/)
  assert.is((await call(place, ask('hf:a/b:Q4_K_M'), { POCKETKV_OFFLINE: '1' })).out, own.out)
  await refused(place, ask('hf:a/b:Q2_K'), 3, /must name a quantisation that is there: Q8_0, Q4_K_M; got Q2_K/)
  await refused(place, ask('hf:a/many'), 3, /must say which file, got 2: hf:a\/many\/one\.gguf, hf:a\/many\/two\.gguf/)
  await refused(place, ask('hf:a/empty'), 3, /must hold a GGUF file, got none/)
  await refused(place, ask('hf:a/nothing'), 3, /got 404/)
})

test('quantisations in names', () => {
  for (const [name, quant] of [['m-Q4_K_M.gguf', 'Q4_K_M'], ['x/m.q8_0.gguf', 'q8_0'], ['m-BF16-00001-of-00003.gguf', 'BF16'], ['m-f16.gguf', 'f16'], ['Q4_0/m-UD-IQ2_XXS.gguf', 'UD-IQ2_XXS'], ['qwen3-8b.gguf', null]] as const)
    assert.is(quantOf(name), quant, name)
  assert.is(choose(['m-Q8_0-00002-of-00002.gguf', 'm-Q8_0-00001-of-00002.gguf', 'm-F16.gguf'], 'q8_0', 'x'), 'm-Q8_0-00001-of-00002.gguf')
  assert.is(choose(['m-F16.gguf', 'm-Q5_K_M.gguf', 'm-Q8_0.gguf'], null, 'x'), 'm-Q5_K_M.gguf')
})

test('split files are one model', async () => {
  const place = home()
  assert.is((await call(place, ask('hf:a/split:Q8_0'))).out, own.out)
  const [model, ...more] = await listed(place)
  assert.equal([model!.name, model!.bytes, model!.complete, model!.paths.length, more.length], ['hf:a/split/m-Q8_0-00001-of-00002.gguf', parts[0]!.length + parts[1]!.length, true, 2, 0])
  await call(place, ['models', 'remove', 'hf:a/split'])
  assert.equal(await listed(place), [])
  assert.is(existsSync(join(place, 'models', 'hf')), false)
})

test('a URL, whose query names another file and is shown nowhere', async () => {
  const place = home(), url = `${hub}/cdn/a/b/tiny-Q4_K_M.gguf`
  assert.is((await call(place, ask(url))).out, own.out)
  assert.equal((await listed(place)).map(model => model.name), [url])
  assert.is((await call(place, ask(url), { POCKETKV_OFFLINE: '1' })).out, own.out)
})

test('inspect and plan read the header and no more', async () => {
  const place = home()
  for (const args of [['inspect', 'hf:a/b:Q4_K_M', '--json'], ['plan', '--model', `${hub}/cdn/a/b/tiny-Q4_K_M.gguf`, '--tokens', '100', '--json'], ['tokenize', '--model', 'hf:a/split', 'Hi'], ['inspect', 'hf:a/strange', '--json']]) {
    const { code, err } = await call(place, args)
    assert.is(code, 0, err)
  }
  assert.equal(await listed(place), [])
})

test('what does not run is refused before it is downloaded', async () => {
  const place = home()
  served = 0
  await refused(place, ask('hf:a/strange'), 3, /architecture must be one of/)
  assert.ok(served < strange.length, `the header alone must be read, got ${served} bytes`)
  assert.equal(await listed(place), [])
})

test('HF_TOKEN opens what asks who you are', async () => {
  const place = home()
  await refused(place, ask('hf:gated/c/x.gguf'), 3, /401/)
  await refused(place, ['models', 'get', 'hf:gated/c/x.gguf'], 3, /401/, { HF_TOKEN: 'wrong' })
  assert.is((await call(place, ask('hf:gated/c/x.gguf'), { HF_TOKEN: 'right' })).out, own.out)
})

test('offline: what is not here is refused, with what is', async () => {
  const place = home(), env = { POCKETKV_OFFLINE: '1' }
  await refused(place, ask('hf:a/b/tiny-Q8_0.gguf'), 3, /hf:a\/b\/tiny-Q8_0\.gguf must be downloaded already where POCKETKV_OFFLINE is set; here are no models/, env)
  await call(place, ['models', 'get', 'hf:a/b:Q8_0'])
  asked.length = 0
  await refused(place, ask('hf:a/b/x.gguf'), 3, /here are hf:a\/b\/tiny-Q8_0\.gguf/, env)
  await refused(place, ask('hf:a/b:Q4_0'), 3, /must name a quantisation that is there: Q8_0; got Q4_0/, env)
  await refused(place, ask('hf:a/other'), 3, /hf:a\/other must be downloaded already where POCKETKV_OFFLINE is set; here are hf:a\/b\/tiny-Q8_0\.gguf/, env)
  await refused(place, ['run', '--document', `${hub}/x.txt`, '--prompt', 'x'], 2, /POCKETKV_OFFLINE is set/, env)
  assert.equal(asked, [])
})

test('models: a list for people, what is not whole, and removing it', async () => {
  const place = home()
  await call(place, ['models', 'get', 'hf:a/b:Q8_0'])
  const at = join(place, 'models', 'hf', 'a', 'b', 'tiny-Q4_K_M.gguf')
  writeFileSync(`${at}.part`, model.subarray(0, 1000))
  writeFileSync(`${at}.part.json`, JSON.stringify({ url: 'x', size: model.length, tag: null, sha256: null }))
  const { out, err } = await call(place, ['models'])
  assert.match(out, /^hf:a\/b\/tiny-Q4_K_M\.gguf +1\.0 kB +not whole: ask for it again to go on\nhf:a\/b\/tiny-Q8_0\.gguf +\d+\.\d kB\n$/)
  assert.match(err, /^2 models, .* in .*models\n$/)
  await refused(place, ['models', 'remove', 'hf:x'], 2, /must name a model that is there: hf:a\/b\/tiny-Q4_K_M\.gguf, hf:a\/b\/tiny-Q8_0\.gguf; got hf:x/)
  await call(place, ['models', 'remove', 'hf:a/b/tiny-Q4_K_M.gguf'])
  assert.equal([existsSync(`${at}.part`), existsSync(`${at}.part.json`), (await listed(place)).length], [false, false, 1])
  for (const bad of [['frobnicate'], ['remove'], ['get'], ['list', 'x']]) await refused(place, ['models', ...bad], 2, /models (must be|remove must|get must|list must)/)
})

test('the cache folder is XDG\'s where nothing else is said', async () => {
  const xdg = file('xdg')
  const { out } = await cli(['models', '--json'], { env: { POCKETKV_HOME: '', XDG_CACHE_HOME: xdg } })
  assert.is(JSON.parse(out).folder, join(xdg, 'pocketkv', 'models'))
})

test.run()
