import { readFileSync } from 'node:fs'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { blockType, blockTypes, dequantize, GgufError, half, type BlockName } from '../../src/gguf/index.ts'
import { quantize, toHalf } from './write.ts'

interface Packed { bytes: string; dequantized: string }
interface Golden { cases: { name: string; values: string; types: Record<BlockName, Packed> }[]; raws: (Packed & { name: string; type: BlockName })[] }
const golden = JSON.parse(readFileSync(new URL('../goldens/gguf/blocks.json', import.meta.url), 'utf8')) as Golden

const bytesOf = (hex: string): Uint8Array<ArrayBuffer> => new Uint8Array(Buffer.from(hex, 'hex'))
const floatsOf = (hex: string): Float32Array => new Float32Array(bytesOf(hex).buffer)
const hexOf = (a: ArrayBufferView): string => Buffer.from(a.buffer, a.byteOffset, a.byteLength).toString('hex')

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

test('a type that cannot be computed with is refused by its name', () => {
  assert.throws(() => blockType({ name: 'blk.0.ffn_down.weight', type: 'Q6_K' }), (e: Error) =>
    e instanceof GgufError && e.message === 'tensor blk.0.ffn_down.weight is Q6_K; supported are F32, F16, BF16, Q8_0, Q4_0, Q4_1')
  assert.is(blockType({ name: 'x', type: 'Q4_1' }), blockTypes.Q4_1)
})

test.run()
