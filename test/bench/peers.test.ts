// The peers are a package of their own: exact versions, content and no places in the lock, nothing of it in ours.
import { existsSync, mkdtempSync, readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { writeResults } from '../../bench/results.ts'
import { rowsOf, type Measured } from '../../bench/peers/rows.ts'

const folder = fileURLToPath(new URL('../../bench/peers/', import.meta.url))
const read = (name: string): string => readFileSync(join(folder, name), 'utf8')

test('peers have exact versions, and a lock that names content only', () => {
  const { dependencies } = JSON.parse(read('package.json')) as { dependencies: Record<string, string> }
  const { packages } = JSON.parse(read('package-lock.json')) as { packages: Record<string, { version?: string; resolved?: string; integrity?: string }> }
  for (const [name, version] of Object.entries(dependencies)) {
    assert.match(version, /^\d+\.\d+\.\d+$/, name)
    assert.is(packages[`node_modules/${name}`]?.version, version, name)
  }
  for (const [path, { resolved, integrity }] of Object.entries(packages)) {
    if (path === '') continue
    assert.is(resolved, undefined, path)
    assert.match(integrity ?? '', /^sha512-/, path)
  }
})

test('nothing is installed beside the sources', () => {
  assert.is(existsSync(join(folder, 'node_modules')), false)
})

test('a section of results takes the place of its last one', () => {
  const path = join(mkdtempSync(join(tmpdir(), 'pocketkv-')), 'RESULTS.md')
  writeResults(path, 'kernels', ['first', '| a |', '|---|', '| 1 |'])
  writeResults(path, 'model', ['second'])
  const before = readFileSync(path, 'utf8')
  assert.match(before, /## kernels\n\n```text\nfirst\n```\n\n\| a \|\n\|---\|\n\| 1 \|\n\n## model\n\n```text\nsecond\n```\n$/)
  writeResults(path, 'kernels', ['third'])
  assert.is(readFileSync(path, 'utf8'), before.replace('first\n```\n\n| a |\n|---|\n| 1 |\n', 'third\n```\n'))
})

const row = (engine: Measured['engine'], method: string, scale: number): Measured => ({
  engine, runtime: 'chromium', method, kv: 'i16', flash: false, context: 512, rounds: 1, loadMs: 10 * scale, decodeTokensPerSecond: 20 * scale, prefillTokensPerSecond: 30 * scale,
  firstTokenMs: 40 * scale, memoryBytesPeak: 50 * scale, rssBytesPeak: 0, shipped: { bytes: 60 * scale, gzip: 70 * scale },
})

test('ratios are over ours at the same context, in the same runtime, by method', () => {
  const rows = rowsOf([row('pocketkv', 'full', 1), row('pocketkv', 'rocketkv', 2), row('wllama', 'full', 4), { ...row('wllama', 'full', 4), context: 2048 }]) as
    { toFull: Record<string, number> | null; toRocketkv: Record<string, number> | null }[]
  const names = ['decodeTokensPerSecond', 'prefillTokensPerSecond', 'memoryBytesPeak', 'loadMs', 'firstTokenMs', 'bytesShipped', 'bytesShippedGzip']
  assert.equal(rows[2]!.toFull, Object.fromEntries(names.map(name => [name, 4])))
  assert.equal(rows[2]!.toRocketkv, Object.fromEntries(names.map(name => [name, 2])))
  assert.equal([rows[3]!.toFull, rows[3]!.toRocketkv], [null, null])
})

test.run()
