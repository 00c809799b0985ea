// What a reader is told is what there is.
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { blockTypes } from '../src/gguf/index.ts'
import { methods, parseMethod } from '../src/methods/index.ts'

const readme = readFileSync(fileURLToPath(new URL('../README.md', import.meta.url)), 'utf8')

test('the methods table is the registry, in its order, with papers and promises', () => {
  const rows = [...readme.matchAll(/^\| `([^`]+)` \|(.*)\|$/gm)]
  assert.equal(rows.map(([, name]) => name), Object.keys(methods))
  for (const [, name, rest] of rows) {
    const { paper, second } = parseMethod(name!)
    // The full cache and the oracle are nobody's method.
    if (!['full', 'exact-topk'].includes(name!)) assert.ok(rest!.includes(paper.replace('arXiv:', '')), `${name}: ${paper}`)
    assert.ok(rest!.includes(second), `${name}: ${second}`)
  }
})

test('the tensor types are those of the code', () => assert.ok(readme.replace(/\s+/g, ' ').includes(`tensor types ${Object.keys(blockTypes).join(', ')},`)))

test('the two commands of a fresh clone', () => {
  for (const command of ['npm run demo', 'npm test']) assert.ok(readme.includes(command), command)
})

test('nothing is left to be filled in', () => {
  assert.not.match(readme, /^[A-Z_]{5,}$/m)
})

test.run()
