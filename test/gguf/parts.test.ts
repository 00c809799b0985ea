// Split files: …-00001-of-00003.gguf and its fellows are one model.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { openModel, partNames } from '../../src/gguf/index.ts'
import { load } from '../../src/load.ts'
import { randomLlama } from './write.ts'
import { splitModel } from './split.ts'

const whole = randomLlama({ layers: 2, heads: 2, kvHeads: 1, headDim: 16, dim: 32, hidden: 32, vocab: 300, context: 256, type: 'Q8_0', tied: true, seed: 3 })
const folder = mkdtempSync(join(tmpdir(), 'pocketkv-parts-'))
process.on('exit', () => rmSync(folder, { recursive: true, force: true }))
const written = (name: string, data: Uint8Array): string => {
  writeFileSync(join(folder, name), data)
  return join(folder, name)
}
const parts = await splitModel(whole, 3)
const paths = parts.map((part, i) => written(`m-0000${i + 1}-of-00003.gguf`, part))

test('names of parts', () => {
  assert.equal(partNames('a/b-00002-of-00003.gguf'), ['a/b-00001-of-00003.gguf', 'a/b-00002-of-00003.gguf', 'a/b-00003-of-00003.gguf'])
  assert.equal(partNames('https://h/x-00001-of-00002.gguf?download=true'), ['https://h/x-00001-of-00002.gguf?download=true', 'https://h/x-00002-of-00002.gguf?download=true'])
  for (const name of ['a.gguf', 'a-00001-of-00000.gguf', 'a-1-of-2.gguf', 'a-00001-of-00002.bin', 'a-00001-of-00001.gguf']) assert.equal(partNames(name), [name])
})

test('all parts together hold what the whole file holds', async () => {
  const one = await openModel(whole)
  for (const source of [paths[0]!, paths[2]!, parts, parts.map(part => new Blob([part]))]) {
    const { file, header } = await openModel(source)
    assert.equal([...header.tensors.keys()].sort(), [...one.header.tensors.keys()].sort())
    for (const [name, { offset, bytes, ...rest }] of header.tensors) {
      const other = one.header.tensors.get(name)!
      assert.equal(rest, { name, type: other.type, shape: other.shape })
      const [own, theirs] = [new Uint8Array(bytes), new Uint8Array(other.bytes)]
      await file.read(offset, own)
      await one.file.read(other.offset, theirs)
      assert.ok(Buffer.compare(own, theirs) === 0, name)
    }
    await file.close()
  }
})

test('they answer as the whole file does', async () => {
  const texts = await Promise.all([whole, paths[1]!].map(async source => {
    const model = await load(source)
    return model.generate('one two', { maxTokens: 12 }).all()
  }))
  assert.is(texts[0], texts[1])
})

const refused: [string, () => unknown, RegExp][] = [
  ['one part alone', () => openModel(parts[0]!), /must be named …-00001-of-00003\.gguf to be found with its other parts, as it is part 1 of 3/],
  ['the wrong order', () => openModel([parts[1]!, parts[0]!, parts[2]!]), /must be part 1 of 3, got part 2 of 3/],
  ['too few', () => openModel(parts.slice(0, 2)), /must be part 1 of 2, got part 1 of 3/],
  ['whole files', () => openModel([whole, whole]), /must be part 1 of 2, got part 1 of 1/],
  ['none', () => openModel([]), /at least one file, got none/],
  ['a missing part', () => openModel(written('n-00001-of-00002.gguf', parts[0]!)), /n-00002-of-00002\.gguf must be a readable file, got ENOENT/],
]
for (const [what, open, message] of refused) test(`refused: ${what}`, async () => {
  try {
    await open()
  } catch (error) {
    assert.is((error as Error).name, 'GgufError')
    return assert.match((error as Error).message, message)
  }
  assert.unreachable('nothing was thrown')
})

test.run()
