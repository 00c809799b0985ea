import { GgufError } from './error.ts'
import type { TensorInfo } from './header.ts'

// Weight blocks as bytes, little endian. A row of a tensor is whole blocks; a block of zeros has scale 0.
//
//   F32      4 bytes:  | f32 |
//   F16      2 bytes:  | f16 |
//   BF16     2 bytes:  | upper half of an f32 |
//
// Blocks of 32 values; d, m f16. Byte j of 16 holds value j in its low nibble and value j + 16 in its high nibble.
//   Q8_0    34 bytes:  | d | 32 × i8 |                                value = d × code
//   Q4_0    18 bytes:  | d | 16 × u8 |                                value = d × (nibble − 8)
//   Q4_1    20 bytes:  | d | m | 16 × u8 |                            value = d × nibble + m
//   Q5_0    22 bytes:  | d | fifth bits u32 | 16 × u8 |               value = d × (code − 16)
//   Q5_1    24 bytes:  | d | m | fifth bits u32 | 16 × u8 |           value = d × code + m
//   IQ4_NL  18 bytes:  | d | 16 × u8 |                                value = d × curve[nibble]
//
// Blocks of 256 values, with scales of their own for every 16 or 32 of them; d, e f16 but for Q8_K. Codes of 4, 2 or 1 bits lie in runs of
// 32 bytes (64 for the nibbles of Q6_K): byte j holds values j, j + 32, … of its run, low bits first.
//   Q2_K    84 bytes:  | 16 × scale, minimum u4 | 64 × u8 | d | e |   value = d scale × code − e minimum
//   Q3_K   110 bytes:  | third bits | 64 × u8 | 16 scales, 6 bits each | d |   value = d (scale − 32) × (code − 4)
//   Q4_K   144 bytes:  | d | e | 8 × scale, minimum of 6 bits | 128 × u8 |   value = d scale × code − e minimum
//   Q5_K   176 bytes:  | d | e | 8 × scale, minimum of 6 bits | fifth bits | 128 × u8 |   as Q4_K
//   Q6_K   210 bytes:  | 128 × u8 | fifth and sixth bits | 16 × scale i8 | d |   value = d scale × (code − 32)
//   Q8_K   292 bytes:  | d f32 | 256 × i8 | sums, not read |          value = d × code
//   IQ4_XS 136 bytes:  | d | upper 2 bits of 8 scales | lower 4 | 128 × u8 |   value = d (scale − 32) × curve[nibble], nibbles as in IQ4_NL
//   TQ1_0   54 bytes:  | 48 × 5 trits | 4 × 4 trits | d |             value = d × (trit − 1)
//   TQ2_0   66 bytes:  | 64 × u8 | d |                                value = d × (code − 1)

export type BlockName = 'F32' | 'F16' | 'BF16' | 'Q8_0' | 'Q4_0' | 'Q4_1' | 'Q5_0' | 'Q5_1' | 'Q2_K' | 'Q3_K' | 'Q4_K' | 'Q5_K' | 'Q6_K' | 'Q8_K'
  | 'IQ4_NL' | 'IQ4_XS' | 'TQ1_0' | 'TQ2_0'

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
  Q5_0: { id: 6, name: 'Q5_0', values: 32, bytes: 22 },
  Q5_1: { id: 7, name: 'Q5_1', values: 32, bytes: 24 },
  Q2_K: { id: 10, name: 'Q2_K', values: 256, bytes: 84 },
  Q3_K: { id: 11, name: 'Q3_K', values: 256, bytes: 110 },
  Q4_K: { id: 12, name: 'Q4_K', values: 256, bytes: 144 },
  Q5_K: { id: 13, name: 'Q5_K', values: 256, bytes: 176 },
  Q6_K: { id: 14, name: 'Q6_K', values: 256, bytes: 210 },
  Q8_K: { id: 15, name: 'Q8_K', values: 256, bytes: 292 },
  IQ4_NL: { id: 20, name: 'IQ4_NL', values: 32, bytes: 18 },
  IQ4_XS: { id: 23, name: 'IQ4_XS', values: 256, bytes: 136 },
  TQ1_0: { id: 34, name: 'TQ1_0', values: 256, bytes: 54 },
  TQ2_0: { id: 35, name: 'TQ2_0', values: 256, bytes: 66 },
}

/** What a header may name besides: read over, counted in bytes, refused by name when its values are asked for. [id, values, bytes] */
const otherTypes = {
  Q8_1: [9, 32, 40], Q1_0: [41, 128, 18], MXFP4: [39, 32, 17], NVFP4: [40, 64, 36],
  IQ1_S: [19, 256, 50], IQ1_M: [29, 256, 56], IQ2_XXS: [16, 256, 66], IQ2_XS: [17, 256, 74], IQ2_S: [22, 256, 82],
  IQ3_XXS: [18, 256, 98], IQ3_S: [21, 256, 110],
  I8: [24, 1, 1], I16: [25, 1, 2], I32: [26, 1, 4], I64: [27, 1, 8], F64: [28, 1, 8],
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

/** The block type of a tensor, or the refusal that names both and the supported types of about as many bits. */
export function blockType(tensor: Pick<TensorInfo, 'name' | 'type'>): BlockType {
  if (!Object.hasOwn(blockTypes, tensor.type)) throw new GgufError(`tensor ${tensor.name} is ${tensor.type}; ${nearest(tensor.type)}supported are ${supported()}`)
  return blockTypes[tensor.type as BlockName]
}

const bitsOf = ({ values, bytes }: { readonly values: number; readonly bytes: number }): number => 8 * bytes / values

/** Of two types as near as can be in size: what a file could be made with instead. Nothing for whole numbers, which are no weights. */
function nearest(name: TypeName): string {
  if (/^[IF]\d+$/.test(name)) return ''
  const bits = bitsOf([...storedTypes.values()].find(type => type.name === name)!)
  const [first, second] = Object.values(blockTypes).sort((a, b) => Math.abs(bitsOf(a) - bits) - Math.abs(bitsOf(b) - bits))
  return `nearest in size are ${first!.name} and ${second!.name}; `
}

const supported = (): string => Object.keys(blockTypes).join(', ')
