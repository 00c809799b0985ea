import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { GgufError, openSource, readHeader, type Header } from '../../src/gguf/index.ts'
import { readConfig, type Config } from '../../src/model/config.ts'
import { findTensors } from '../../src/model/weights.ts'

// What the metadata of an architecture means, and what is refused.

type Metadata = Record<string, unknown>

const headerOf = async (name: string): Promise<Header> => readHeader(await openSource(readFileSync(fileURLToPath(new URL(`../goldens/families/${name}.gguf`, import.meta.url)))))

/** The configuration of a tiny model with some metadata changed; undefined takes a key away. */
async function config(name: string, changes: Metadata = {}): Promise<Config> {
  const header = await headerOf(name), metadata = new Map(header.metadata)
  for (const [key, value] of Object.entries(changes)) {
    if (value === undefined) metadata.delete(key)
    else metadata.set(key, value as never)
  }
  return readConfig({ ...header, metadata })
}

const windows = ({ kinds }: Config): number[] => kinds.map(({ window }) => window)

test('layers that slide, and the ropes of layers', async () => {
  assert.equal(windows(await config('gemma2')), [24, 0, 24, 0])
  assert.equal(windows(await config('gemma2', { 'gemma2.attention.sliding_window': undefined, 'gemma2.context_length': 8192 })), [4096, 0, 4096, 0])
  const gemma3 = await config('gemma3')
  assert.equal(windows(gemma3), [24, 24, 24, 24, 24, 0])
  assert.equal(gemma3.kinds.map(({ rope }) => rope), [1, 1, 1, 1, 1, 0])
  assert.equal(gemma3.ropes.map(({ base }) => base), [1e6, 1e4])
  assert.equal(gemma3.ropes.map(({ divisors }) => divisors), [new Array(8).fill(8), null])
  assert.equal(windows(await config('gemma3', { 'gemma3.attention.sliding_window': undefined })), [0, 0, 0, 0, 0, 0])
  assert.equal(windows(await config('gemma3', { 'gemma3.attention.sliding_window_pattern': 2 })), [24, 0, 24, 0, 24, 0])
  assert.equal(windows(await config('gemma3', { 'gemma3.attention.sliding_window_pattern': [true, false, false, true, false, false] })), [24, 0, 0, 24, 0, 0])
  assert.equal(windows(await config('phi3-window')), [24, 24])
  assert.equal(windows(await config('phi3')), [0, 0])
  // Phi-3.5's files have 262144 at a context of 131072.
  assert.equal(windows(await config('phi3', { 'phi3.attention.sliding_window': 1024 })), [0, 0])
  const wide = await config('gemma3', { 'gemma3.attention.sliding_window': 512 })
  assert.equal([windows(wide), wide.kinds.map(({ rope }) => rope)], [[0, 0, 0, 0, 0, 0], [1, 1, 1, 1, 1, 0]])
  assert.equal(windows(await config('gemma3', { 'gemma3.attention.sliding_window': 511 })), [511, 511, 511, 511, 511, 0])
  assert.equal(windows(await config('olmo3')), [24, 24, 24, 0])
  assert.equal((await config('olmo3')).ropes.map(({ magnitude }) => magnitude > 1), [true, false])
  assert.equal((await config('smollm3')).kinds.map(({ rope }) => rope), [0, 0, 0, null])
})

test('scales and caps', async () => {
  const granite = await config('granite')
  assert.equal([granite.embeddingScale, Math.fround(granite.residualScale), granite.attentionScale, granite.logitScale], [12, Math.fround(0.22), 0.0625, 0.5])
  const gemma2 = await config('gemma2')
  assert.equal([gemma2.embeddingScale, gemma2.attentionScale, gemma2.attentionCap, gemma2.logitCap], [Math.sqrt(32), 0.25, 2, 4])
  const unsaid = await config('gemma2', { 'gemma2.attn_logit_softcapping': undefined, 'gemma2.final_logit_softcapping': undefined })
  assert.equal([unsaid.attentionCap, unsaid.logitCap], [50, 30])
  // Gemma 2 27B: 46 layers, 4608 channels over 32 heads of 128.
  const large = await config('gemma2', { 'gemma2.block_count': 46, 'gemma2.embedding_length': 4608, 'gemma2.attention.head_count': 32, 'gemma2.attention.key_length': 128, 'gemma2.attention.value_length': 128 })
  assert.is(large.attentionScale, 144 ** -0.5)
})

test('LongRope: the long divisors where the context is longer than the original one', async () => {
  assert.equal((await config('phi3')).ropes.map(({ divisors }) => divisors), ['rope_factors_long.weight'])
  assert.equal((await config('phi3', { 'phi3.context_length': 64 })).ropes.map(({ divisors }) => divisors), ['rope_factors_short.weight'])
})

const refused: readonly (readonly [string, string, Metadata, RegExp])[] = [
  ['an unknown architecture', 'llama', { 'general.architecture': 'mamba' }, /^architecture must be one of llama, qwen2, qwen3, gemma2, gemma3, phi3, smollm3, granite, olmo2, got mamba$/],
  ['a mixture of experts, by name', 'llama', { 'general.architecture': 'qwen3moe' }, /got qwen3moe; nearest is qwen3$/],
  ['a relative of one that runs', 'llama', { 'general.architecture': 'gemma3n' }, /got gemma3n; nearest is gemma3$/],
  ['an older one of a family', 'llama', { 'general.architecture': 'phi2' }, /got phi2; nearest is phi3$/],
  ['a mixture of experts, by number', 'granite', { 'granite.expert_count': 8 }, /^the model must be dense, got a mixture of 8 experts$/],
  ['an unknown rope scaling', 'llama', { 'llama.rope.scaling.type': 'su' }, /^llama\.rope\.scaling\.type must be none, linear, yarn or longrope, got su$/],
  ['scaling without a factor', 'llama-linear', { 'llama.rope.scaling.factor': undefined }, /llama\.rope\.scaling\.factor/],
  ['scaling by nothing', 'llama-yarn', { 'llama.rope.scaling.factor': 0 }, /^llama\.rope\.scaling\.factor must be positive, got 0$/],
  ['a pattern of another length', 'gemma3', { 'gemma3.attention.sliding_window_pattern': [true, false] }, /^gemma3\.attention\.sliding_window_pattern must have one element per layer, 6, got 2$/],
  ['a window below zero', 'gemma3', { 'gemma3.attention.sliding_window': -1 }, /^gemma3\.attention\.sliding_window must not be negative, got -1$/],
]

for (const [what, name, changes, message] of refused)
  test(`refused: ${what}`, async () => {
    try {
      await config(name, changes)
    } catch (error) {
      assert.instance(error, GgufError)
      assert.match((error as Error).message, message)
      return
    }
    assert.unreachable('read')
  })

test('refused: tensors that the architecture has and the file has not, or the other way about', async () => {
  for (const [file, gone, other] of [['qwen2', 'blk.0.attn_q.bias', 'blk.0.attn_q_norm.weight'], ['qwen3', 'blk.1.attn_k_norm.weight', 'blk.0.attn_k.bias'],
    ['gemma2', 'blk.0.post_ffw_norm.weight', 'blk.0.attn_qkv.weight'], ['phi3', 'blk.0.attn_qkv.weight', 'blk.0.ffn_gate.weight'], ['phi3', 'rope_factors_long.weight', 'blk.9.x']] as const) {
    const header = await headerOf(file), tensors = new Map(header.tensors), extra = new Map(header.tensors)
    tensors.delete(gone)
    extra.set(other, tensors.get('output_norm.weight')!)
    assert.throws(() => findTensors({ ...header, tensors }, readConfig({ ...header, tensors })), new RegExp(`tensor ${gone} must be`))
    assert.throws(() => findTensors({ ...header, tensors: extra }, readConfig(header)), new RegExp(`tensor ${other} must be one that a`))
  }
})

test.run()
