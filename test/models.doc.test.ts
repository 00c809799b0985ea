// docs/models.md lists what runs, with numbers that follow from what it says, and nothing that no test covers.
import { readFileSync, readdirSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { rowBytes } from '../src/kernels/index.ts'
import { supportedArchitectures } from '../src/model/config.ts'
import { methods } from '../src/methods/index.ts'

const root = fileURLToPath(new URL('..', import.meta.url))
const text = readFileSync(`${root}docs/models.md`, 'utf8')
const goldens = readdirSync(`${root}test/goldens/families`).filter(name => name.endsWith('.gguf')).map(name => name.replace('.gguf', ''))
const rows = [...text.matchAll(/^\| `(\w+)` \| (.+) \|$/gm)].map(([, architecture, rest]) => {
  const [name, layers, kvHeads, headDim, context, slides, bytes, files] = rest!.split(' | ')
  return { architecture: architecture!, name: name!, layers: Number(layers), kvHeads: Number(kvHeads), headDim: Number(headDim), context: Number(context),
    sliding: Number(/^(\d+) of \d+ layers/.exec(slides!)?.[1] ?? 0), bytes: Number(bytes), files: files!.split(', ').map(file => file.replaceAll('`', '')) }
})

test('every architecture that runs has a row, and no other', () =>
  assert.equal([...new Set(rows.map(row => row.architecture))].sort(), supportedArchitectures().sort()))

test('every row is covered by a tiny model, and every tiny model is in a row of its own architecture', () => {
  assert.equal([...new Set(rows.flatMap(row => row.files))].sort(), goldens.sort())
  for (const { architecture, files } of rows)
    for (const file of files) {
      const header = readFileSync(`${root}test/goldens/families/${file}.gguf`).subarray(0, 4096).toString('latin1')
      assert.ok(header.includes(`general.architecture\x08\0\0\0${String.fromCharCode(architecture.length)}\0\0\0\0\0\0\0${architecture}`), file)
    }
})

test('bytes per token are those of i16 rows in the layers that do not slide', () => {
  for (const { name, layers, sliding, kvHeads, headDim, bytes } of rows) assert.is(bytes, (layers - sliding) * kvHeads * rowBytes('i16', headDim), name)
})

test('methods and tests that it names are there', () => {
  for (const [, name] of text.matchAll(/`(rocketkv\S*|hsa)`/g)) assert.ok(name! in methods, name)
  for (const [, name] of text.matchAll(/`(?:test\/model\/)?(\w+\.test\.ts)`/g)) assert.ok(readdirSync(`${root}test/model`).includes(name!), name)
})

test.run()
