import { GgufError } from './error.ts'
import type { TensorInfo } from './header.ts'

// Weight blocks as bytes, little endian. A row of a tensor is whole blocks; a block of zeros has scale 0.
//
//   F32    4 bytes:  | f32 |
//   F16    2 bytes:  | f16 |
//   BF16   2 bytes:  | upper half of an f32 |
//   Q8_0  34 bytes:  | scale f16 | 32 × i8 |                    value = scale × code
//   Q4_0  18 bytes:  | scale f16 | 16 × u8 |                    value = scale × (nibble − 8)
//   Q4_1  20 bytes:  | scale f16 | minimum f16 | 16 × u8 |      value = scale × nibble + minimum
//
// Byte j of the 16 holds value j in its low nibble and value j + 16 in its high nibble.

export type BlockName = 'F32' | 'F16' | 'BF16' | 'Q8_0' | 'Q4_0' | 'Q4_1'

/** One way to store values: `values` of them in `bytes`. */
export interface BlockType { readonly id: number; readonly name: BlockName; readonly values: number; readonly bytes: number }

/** What can be computed with. Numbers of ggml's `ggml_type`. */
export const blockTypes: Readonly<Record<BlockName, BlockType>> = {
  F32: { id: 0, name: 'F32', values: 1, bytes: 4 },
  F16: { id: 1, name: 'F16', values: 1, bytes: 2 },
  BF16: { id: 30, name: 'BF16', values: 1, bytes: 2 },
  Q8_0: { id: 8, name: 'Q8_0', values: 32, bytes: 34 },
  Q4_0: { id: 2, name: 'Q4_0', values: 32, bytes: 18 },
  Q4_1: { id: 3, name: 'Q4_1', values: 32, bytes: 20 },
}

/** What a header may name besides: read over, counted in bytes, refused by name when its values are asked for. [id, values, bytes] */
const otherTypes = {
  Q5_0: [6, 32, 22], Q5_1: [7, 32, 24], Q8_1: [9, 32, 40],
  Q2_K: [10, 256, 84], Q3_K: [11, 256, 110], Q4_K: [12, 256, 144], Q5_K: [13, 256, 176], Q6_K: [14, 256, 210], Q8_K: [15, 256, 292],
  IQ2_XXS: [16, 256, 66], IQ2_XS: [17, 256, 74], IQ3_XXS: [18, 256, 98], IQ1_S: [19, 256, 50], IQ4_NL: [20, 32, 18],
  IQ3_S: [21, 256, 110], IQ2_S: [22, 256, 82], IQ4_XS: [23, 256, 136], IQ1_M: [29, 256, 56],
  I8: [24, 1, 1], I16: [25, 1, 2], I32: [26, 1, 4], I64: [27, 1, 8], F64: [28, 1, 8],
  TQ1_0: [34, 256, 54], TQ2_0: [35, 256, 66], MXFP4: [39, 32, 17], NVFP4: [40, 64, 36], Q1_0: [41, 128, 18],
} as const satisfies Record<string, readonly [number, number, number]>

/** Numbers that ggml gave up; no file of today has them. */
const removedTypes: Readonly<Record<number, string>> = {
  4: 'Q4_2', 5: 'Q4_3', 31: 'Q4_0_4_4', 32: 'Q4_0_4_8', 33: 'Q4_0_8_8', 36: 'IQ4_NL_4_4', 37: 'IQ4_NL_4_8', 38: 'IQ4_NL_8_8',
}

export type TypeName = BlockName | keyof typeof otherTypes

/** How a type of a file is stored, whether or not it can be computed with. */
export interface StoredType { readonly id: number; readonly name: TypeName; readonly values: number; readonly bytes: number }

const storedTypes: ReadonlyMap<number, StoredType> = new Map([
  ...Object.values(blockTypes),
  ...Object.entries(otherTypes).map(([name, [id, values, bytes]]) => ({ id, name: name as TypeName, values, bytes })),
].map(type => [type.id, type]))

/** The type behind a number of the tensor table. */
export function storedType(id: number, tensor: string): StoredType {
  const type = storedTypes.get(id)
  if (!type) throw new GgufError(`tensor ${tensor} must have a known type, got ${removedTypes[id] ?? `number ${id}`}; supported are ${supported()}`)
  return type
}

/** The block type of a tensor, or the refusal that names both. */
export function blockType(tensor: Pick<TensorInfo, 'name' | 'type'>): BlockType {
  if (!Object.hasOwn(blockTypes, tensor.type)) throw new GgufError(`tensor ${tensor.name} is ${tensor.type}; supported are ${supported()}`)
  return blockTypes[tensor.type as BlockName]
}

const supported = (): string => Object.keys(blockTypes).join(', ')

/**
 * Whole blocks to f32. Products are exact in f32 (11 bits of a scale, at most 8 of a code), so only the sum of Q4_1
 * rounds, once, where it is stored: the same bits as ggml's, fused or not.
 * bytes [blocks, type.bytes] → out [blocks, type.values]
 */
export function dequantize(name: BlockName, bytes: Uint8Array, out: Float32Array): void {
  const type = blockTypes[name]
  const blocks = out.length / type.values
  if (!Number.isInteger(blocks)) throw new RangeError(`dequantize: out must hold a multiple of ${type.values} values, got ${out.length}`)
  if (bytes.length !== blocks * type.bytes)
    throw new RangeError(`dequantize: ${out.length} values of ${name} must be ${blocks * type.bytes} bytes, got ${bytes.length}`)
  const bits = new Uint32Array(out.buffer, out.byteOffset, out.length)
  switch (name) {
    case 'F32':
      new Uint8Array(out.buffer, out.byteOffset, out.byteLength).set(bytes)
      return
    case 'F16':
      for (let i = 0; i < bits.length; i++) bits[i] = halfBits(u16(bytes, 2 * i))
      return
    case 'BF16':
      for (let i = 0; i < bits.length; i++) bits[i] = u16(bytes, 2 * i) << 16
      return
    case 'Q8_0':
      for (let b = 0, at = 0; b < blocks; b++, at += 34) {
        const scale = half(u16(bytes, at))
        for (let j = 0; j < 32; j++) out[32 * b + j] = scale * (bytes[at + 2 + j]! << 24 >> 24)
      }
      return
    case 'Q4_0':
      for (let b = 0, at = 0; b < blocks; b++, at += 18) {
        const scale = half(u16(bytes, at))
        for (let j = 0; j < 16; j++) {
          const pair = bytes[at + 2 + j]!
          out[32 * b + j] = scale * ((pair & 15) - 8)
          out[32 * b + j + 16] = scale * ((pair >> 4) - 8)
        }
      }
      return
    case 'Q4_1':
      for (let b = 0, at = 0; b < blocks; b++, at += 20) {
        const scale = half(u16(bytes, at)), minimum = half(u16(bytes, at + 2))
        for (let j = 0; j < 16; j++) {
          const pair = bytes[at + 4 + j]!
          out[32 * b + j] = scale * (pair & 15) + minimum
          out[32 * b + j + 16] = scale * (pair >> 4) + minimum
        }
      }
  }
}

const u16 = (bytes: Uint8Array, at: number): number => bytes[at]! | bytes[at + 1]! << 8

const word = new Uint32Array(1), value = new Float32Array(word.buffer)

/** The value of an f16 given as 16 bits; exact, every f16 is an f32. */
export function half(bits: number): number {
  word[0] = halfBits(bits)
  return value[0]!
}

/** An f16's 16 bits as the 32 bits of the same f32, a NaN's payload included. */
function halfBits(bits: number): number {
  const sign = (bits & 0x8000) << 16, exponent = bits >> 10 & 31, fraction = bits & 0x3ff
  if (exponent === 31) return sign | 0x7f800000 | fraction << 13
  if (exponent !== 0) return sign | exponent + 112 << 23 | fraction << 13 // the biases are 15 and 127
  if (fraction === 0) return sign
  const shift = Math.clz32(fraction) - 21 // moves the highest bit to where the hidden one stands
  return sign | 113 - shift << 23 | (fraction << shift & 0x3ff) << 13
}
