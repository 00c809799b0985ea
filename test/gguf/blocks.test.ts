import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { blockType, blockTypes, dequantize, GgufError, half, type BlockName, type TypeName } from '../../src/gguf/index.ts'
import { scalesAt } from '../kernels/weights.ts'
import { normal } from './llama.ts'
import { quantize, toHalf } from './write.ts'

interface Packed { bytes: string; dequantized: string }
interface Ternary { bytes: string; sha256: string }
interface Fuzz { type: BlockName; blocks: number; bytes: string; dequantized: string; block: number; values: string }
interface Golden {
  cases: { name: string; values: string; types: Record<BlockName, Packed> }[]
  ternary: { name: string; values: string; types: Record<'TQ1_0' | 'TQ2_0', Ternary> }[]
  raws: (Packed & { name: string; type: BlockName })[]
  fuzz: Fuzz[]
}
const golden = JSON.parse(readFileSync(new URL('../goldens/gguf/blocks.json', import.meta.url), 'utf8')) as Golden

const bytesOf = (hex: string): Uint8Array<ArrayBuffer> => new Uint8Array(Buffer.from(hex, 'hex'))
const floatsOf = (hex: string): Float32Array => new Float32Array(bytesOf(hex).buffer)
const hexOf = (a: ArrayBufferView): string => Buffer.from(a.buffer, a.byteOffset, a.byteLength).toString('hex')

const hashOf = (a: ArrayBufferView): string => createHash('sha256').update(new Uint8Array(a.buffer, a.byteOffset, a.byteLength)).digest('hex')

function unpack(type: BlockName, bytes: Uint8Array): Float32Array {
  const out = new Float32Array(bytes.length / blockTypes[type].bytes * blockTypes[type].values)
  dequantize(type, bytes, out)
  return out
}

for (const { name, values, types } of golden.cases) {
  for (const [type, packed] of Object.entries(types) as [BlockName, Packed][]) {
    test(`${type}, ${name}: f32 as Python's gguf has it, bit for bit`, () => assert.is(hexOf(unpack(type, bytesOf(packed.bytes))), packed.dequantized))
    test(`${type}, ${name}: the tests' quantiser writes the same bytes`, () => assert.is(hexOf(quantize(type, floatsOf(values))), packed.bytes))
  }
}

for (const { name, type, bytes, dequantized } of golden.raws)
  test(`${type}, ${name}`, () => assert.is(hexOf(unpack(type, bytesOf(bytes))), dequantized))

for (const { name, values, types } of golden.ternary)
  for (const [type, { bytes, sha256 }] of Object.entries(types) as ['TQ1_0' | 'TQ2_0', Ternary][]) {
    test(`${type}, ${name}: f32 as Python's gguf has it, by its hash`, () => assert.is(hashOf(unpack(type, bytesOf(bytes))), sha256))
    test(`${type}, ${name}: the tests' quantiser writes the same bytes`, () => assert.is(hexOf(quantize(type, floatsOf(values))), bytes))
  }

/** Byte i of make.py's noise. */
function noise(i: number): number {
  let x = Math.imul(i, 0x9e3779b1)
  x = Math.imul(x ^ x >>> 16, 0x21f0aaad)
  return (x ^ x >>> 15) & 255
}

/** Blocks as make.py makes them. */
function fuzzed(type: BlockName, blocks: number): Uint8Array<ArrayBuffer> {
  const { id, bytes } = blockTypes[type]
  const data = Uint8Array.from({ length: blocks * bytes }, (_, i) => noise(i + id * 2 ** 20)), view = new DataView(data.buffer)
  for (let b = 0; b < blocks; b++) {
    if (type === 'Q8_K') {
      const bits = view.getUint32(b * bytes, true)
      if ((bits & 0x7f800000) === 0x7f800000) view.setUint32(b * bytes, bits & ~0x40000000, true)
    } else for (const at of scalesAt[type as keyof typeof scalesAt]) {
      const bits = [0x0000, 0x8000, 0x0001, 0x83ff, 0x7bff, 0xfbff][b] ?? view.getUint16(b * bytes + at, true)
      view.setUint16(b * bytes + at, (bits & 0x7c00) === 0x7c00 ? bits & ~0x4000 : bits, true)
    }
  }
  return data
}

for (const { type, blocks, bytes, dequantized, block, values } of golden.fuzz)
  test(`${type}: any blocks, scales up to the largest, as Python's gguf has them, bit for bit`, () => {
    const data = fuzzed(type, blocks)
    assert.is(hashOf(data), bytes, 'the blocks themselves')
    const out = unpack(type, data), { values: n } = blockTypes[type]
    assert.is(hexOf(out.subarray(block * n, (block + 1) * n)), values)
    assert.is(hashOf(out), dequantized)
  })

test('every type but the floats is fuzzed', () =>
  assert.equal(golden.fuzz.map(({ type }) => type).sort(), (Object.keys(blockTypes) as BlockName[]).filter(type => !['F32', 'F16', 'BF16'].includes(type)).sort()))

/** Share of the largest value that a code of the type may be off. */
const errors = { Q2_K: 0.4, Q3_K: 0.2, Q4_K: 0.08, Q5_K: 0.04, Q6_K: 0.025, Q8_K: 0.005, IQ4_NL: 0.15, IQ4_XS: 0.15 } as const

for (const [type, error] of Object.entries(errors) as [keyof typeof errors, number][])
  test(`${type}: what the tests' quantiser writes is read as about the same`, () => {
    const next = normal(5), x = Float32Array.from({ length: 1024 }, () => next())
    const most = x.reduce((most, v) => Math.max(most, Math.abs(v)), 0)
    unpack(type, quantize(type, x)).forEach((y, i) => assert.ok(Math.abs(y - x[i]!) <= error * most, `value ${i} must be about ${x[i]}, got ${y}`))
    assert.equal([...unpack(type, quantize(type, new Float32Array(256)))].map(Math.abs), Array(256).fill(0))
  })

test('every f16 is the value of its formula, and its f32 goes back to it', () => {
  for (let bits = 0; bits < 65536; bits++) {
    const sign = bits & 0x8000 ? -1 : 1, exponent = bits >> 10 & 31, fraction = bits & 1023
    const must = exponent === 31 ? fraction ? NaN : sign * Infinity
      : sign * (exponent ? 2 ** (exponent - 15) * (1 + fraction / 1024) : fraction * 2 ** -24)
    if (!Object.is(half(bits), must)) assert.unreachable(`f16 ${bits.toString(16)} must be ${must}, got ${half(bits)}`)
    if (!Number.isNaN(must) && toHalf(must) !== bits) assert.unreachable(`${must} must be f16 ${bits.toString(16)}, got ${toHalf(must).toString(16)}`)
  }
})

test('bytes at odd addresses, values into the middle of a memory', () => {
  const { bytes, dequantized } = golden.cases[2]!.types.Q4_1
  const packed = bytesOf(bytes), shifted = new Uint8Array(packed.length + 3)
  shifted.set(packed, 3)
  const memory = new Float32Array(3 * 32 + 8)
  dequantize('Q4_1', shifted.subarray(3), memory.subarray(4, 4 + 96))
  assert.is(hexOf(memory.subarray(4, 100)), dequantized)
  assert.equal([...memory.subarray(0, 4), ...memory.subarray(100)], Array(8).fill(0))
})

test('lengths that do not fit are refused with both numbers', () => {
  assert.throws(() => dequantize('Q8_0', new Uint8Array(33), new Float32Array(32)), (e: Error) => e.message === 'dequantize: 32 values of Q8_0 must be 34 bytes, got 33')
  assert.throws(() => dequantize('Q8_0', new Uint8Array(34), new Float32Array(31)), (e: Error) => e instanceof RangeError && e.message.includes('multiple of 32'))
})

test('a type that cannot be computed with is refused by its name, with what is nearest', () => {
  const all = 'supported are F32, F16, BF16, Q8_0, Q4_0, Q4_1, Q5_0, Q5_1, Q2_K, Q3_K, Q4_K, Q5_K, Q6_K, Q8_K, IQ4_NL, IQ4_XS, TQ1_0, TQ2_0'
  const refusal = (type: TypeName): string => {
    try { blockType({ name: 'blk.0.ffn_down.weight', type }) } catch (e) { if (e instanceof GgufError) return e.message }
    return ''
  }
  for (const [type, one, two] of [['IQ1_S', 'TQ1_0', 'TQ2_0'], ['IQ2_XXS', 'TQ2_0', 'TQ1_0'], ['IQ2_S', 'Q2_K', 'TQ2_0'], ['IQ3_XXS', 'Q3_K', 'Q2_K'], ['IQ3_S', 'Q3_K', 'Q2_K'],
    ['MXFP4', 'IQ4_XS', 'Q4_0'], ['NVFP4', 'Q4_0', 'Q4_K'], ['Q8_1', 'Q8_K', 'Q8_0']] as const)
    assert.is(refusal(type), `tensor blk.0.ffn_down.weight is ${type}; nearest in size are ${one} and ${two}; ${all}`)
  assert.is(refusal('I32'), `tensor blk.0.ffn_down.weight is I32; ${all}`)
  assert.is(blockType({ name: 'x', type: 'Q4_1' }), blockTypes.Q4_1)
})

test.run()
