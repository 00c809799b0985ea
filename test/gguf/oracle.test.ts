// The reader against @huggingface/gguf: both models and a random one.
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gguf, GGMLQuantizationType } from '@huggingface/gguf'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { openSource, readHeader, type Header, type MetadataValue } from '../../src/gguf/index.ts'
import { tiny, withSmollm } from '../models.ts'
import { counting } from './counting.ts'
import { randomLlama } from './write.ts'

const MiB = 2 ** 20

/** Ours in the oracle's spelling: plain arrays. */
const plain = (value: MetadataValue): unknown => ArrayBuffer.isView(value) ? Array.from(value as Int32Array) : value

async function agree(path: string): Promise<{ header: Header; reads: number; bytes: number; size: number }> {
  const source = counting(await openSource(path))
  const header = await readHeader(source)
  await source.close()
  const oracle = await gguf(path, { allowLocalFile: true })
  const { version, tensor_count, kv_count, ...metadata } = oracle.metadata as Record<string, unknown>
  assert.is(header.version, version)
  assert.is(header.tensors.size, Number(tensor_count))
  assert.is(header.metadata.size, Number(kv_count))
  assert.equal([...header.metadata.keys()], Object.keys(metadata))
  for (const [key, value] of header.metadata) assert.equal(plain(value), metadata[key], key)
  assert.is(header.bytes, Number(oracle.tensorDataOffset))
  const tensors = oracle.tensorInfos.map(({ name, shape, dtype, offset }) =>
    ({ name, type: GGMLQuantizationType[dtype], shape: shape.map(Number).reverse(), offset: Number(offset + oracle.tensorDataOffset) }))
  assert.equal([...header.tensors.values()].map(({ name, type, shape, offset }) => ({ name, type, shape, offset })), tensors)
  return { header, reads: source.reads, bytes: source.bytes, size: source.size }
}

test('the tiny model as @huggingface/gguf reads it', async () => {
  const { header, reads } = await agree(tiny)
  assert.is(reads, 1)
  assert.equal(header.tensors.get('token_embd.weight'), { name: 'token_embd.weight', type: 'Q8_0', shape: [1024, 128], offset: 30784, bytes: 139264 })
})

withSmollm(test, 'the 135M model as @huggingface/gguf reads it, with less than 4 MiB of its 98 MB read', async path => {
  const { header, reads, bytes, size } = await agree(path)
  assert.is(size, 98_362_432)
  assert.ok(bytes < 4 * MiB, `read ${bytes} bytes`)
  assert.is(reads, 2)
  const last = [...header.tensors.values()].at(-1)!
  assert.is(last.offset + last.bytes, size)
})

for (const type of ['F32', 'F16', 'BF16', 'Q8_0', 'Q4_0', 'Q4_1'] as const)
  test(`a random llama of ${type} as @huggingface/gguf reads it`, async () => {
    const folder = await mkdtemp(join(tmpdir(), 'pocketkv-'))
    try {
      const path = join(folder, 'random.gguf')
      await writeFile(path, randomLlama({
        layers: 2, heads: 4, kvHeads: 2, headDim: 16, dim: 32, hidden: 64, vocab: 300, context: 512, type, tied: type === 'F16', seed: 3,
        ropeFactors: [1, 1, 1, 1, 2, 4, 8, 8],
      }))
      const { header } = await agree(path)
      assert.equal(header.tensors.get('blk.1.attn_k.weight')?.shape, [32, 32])
      assert.equal(header.tensors.get('blk.1.attn_output.weight')?.shape, [32, 64])
      assert.equal(header.tensors.has('output.weight'), type !== 'F16')
      assert.equal(header.tensors.get('rope_freqs.weight')?.shape, [8])
    } finally {
      await rm(folder, { recursive: true })
    }
  })

test.run()
