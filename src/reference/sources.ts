import { packings, sources, type Source, type SourceType } from '../kernels/layouts.ts'
import type { Memory } from './memory.ts'

/** The f16 with these bits: sign · 5 exponent · 10 fraction. */
export function half(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1, exponent = bits >> 10 & 31, fraction = bits & 1023
  if (exponent === 31) return fraction ? NaN : sign * Infinity
  return sign * (exponent ? (1024 + fraction) * 2 ** (exponent - 25) : fraction * 2 ** -24)
}

const cast = new DataView(new ArrayBuffer(4))
export function float(bits: number): number {
  cast.setUint32(0, bits)
  return cast.getFloat32(0)
}

/** Column c of a block is worth d × code, rounded to f32, + m. Nothing but that product and that sum rounds. */
export interface Value { readonly d: number; readonly code: number; readonly m: number }

/** What lies at `at` bytes from the beginning of a block. */
interface Reader { u8(at: number): number; i8(at: number): number; u16(at: number): number; f16(at: number): number; f32(at: number): number }

/** Byte of 32 or 16 columns that share it, by bits: low ones first. */
const shared = (b: Reader, at: number, columns: number, bits: number, c: number): number => {
  const inByte = 8 / bits, span = columns * inByte
  return b.u8(at + Math.floor(c / span) * columns + c % columns) >> bits * (Math.floor(c / columns) % inByte) & (1 << bits) - 1
}
/** Scale and minimum j of the eight of Q4_K and Q5_K, 6 bits each in the 12 bytes from byte 4 on. */
const pair = (b: Reader, j: number): readonly [number, number] => j < 4
  ? [b.u8(4 + j) & 63, b.u8(8 + j) & 63]
  : [b.u8(8 + j) & 15 | b.u8(j) >> 6 << 4, b.u8(8 + j) >> 4 | b.u8(4 + j) >> 6 << 4]
/** Scale j of the sixteen of Q3_K, 6 bits each in the 12 bytes from byte 96 on. */
const third = (b: Reader, j: number): number => (b.u8(96 + j % 8) >> 4 * (j >> 3) & 15 | (b.u8(104 + j % 4) >> 2 * (j >> 2) & 3) << 4) - 32
/** Scale j of the eight of IQ4_XS: 4 bits and 2. */
const mixed = (b: Reader, j: number): number => (b.u8(4 + (j >> 1)) >> 4 * (j % 2) & 15 | (b.u16(2) >> 2 * j & 3) << 4) - 32
const curve = packings.IQ4_NL.curve!
/** Trit of TQ1_0: byte times a power of three, modulo 256, is a fraction whose first digit in base 3 it is. */
const trit = (byte: number, power: number): number => ((byte * 3 ** power & 255) * 3 >> 8) - 1

type BlockSource = Exclude<SourceType, 'F32' | 'F16' | 'BF16'>

/** One line a type: bytes of a block are told in src/gguf/blocks.ts. */
const values: Readonly<Record<BlockSource, (b: Reader, c: number) => Value>> = {
  Q8_0: (b, c) => ({ d: b.f16(0), code: b.i8(2 + c), m: 0 }),
  Q4_0: (b, c) => ({ d: b.f16(0), code: shared(b, 2, 16, 4, c) - 8, m: 0 }),
  Q4_1: (b, c) => ({ d: b.f16(0), code: shared(b, 4, 16, 4, c), m: b.f16(2) }),
  Q5_0: (b, c) => ({ d: b.f16(0), code: (shared(b, 6, 16, 4, c) | (b.u8(2 + (c >> 3)) >> c % 8 & 1) << 4) - 16, m: 0 }),
  Q5_1: (b, c) => ({ d: b.f16(0), code: shared(b, 8, 16, 4, c) | (b.u8(4 + (c >> 3)) >> c % 8 & 1) << 4, m: b.f16(2) }),
  Q2_K: (b, c) => ({ d: b.f16(80) * (b.u8(c >> 4) & 15), code: shared(b, 16, 32, 2, c), m: -(b.f16(82) * (b.u8(c >> 4) >> 4)) }),
  Q3_K: (b, c) => ({ d: b.f16(108) * third(b, c >> 4), code: shared(b, 32, 32, 2, c) + 4 * shared(b, 0, 32, 1, c) - 4, m: 0 }),
  Q4_K: (b, c) => ({ d: b.f16(0) * pair(b, c >> 5)[0], code: shared(b, 16, 32, 4, c), m: -(b.f16(2) * pair(b, c >> 5)[1]) }),
  Q5_K: (b, c) => ({ d: b.f16(0) * pair(b, c >> 5)[0], code: shared(b, 48, 32, 4, c) + 16 * shared(b, 16, 32, 1, c), m: -(b.f16(2) * pair(b, c >> 5)[1]) }),
  Q6_K: (b, c) => ({ d: b.f16(208) * b.i8(192 + (c >> 4)), code: shared(b, 0, 64, 4, c) + 16 * shared(b, 128, 32, 2, c) - 32, m: 0 }),
  Q8_K: (b, c) => ({ d: b.f32(0), code: b.i8(4 + c), m: 0 }),
  IQ4_NL: (b, c) => ({ d: b.f16(0), code: curve[shared(b, 2, 16, 4, c)]!, m: 0 }),
  IQ4_XS: (b, c) => ({ d: b.f16(0) * mixed(b, c >> 5), code: curve[shared(b, 8, 16, 4, c)]!, m: 0 }),
  TQ1_0: (b, c) => ({ d: b.f16(52), code: c < 160 ? trit(b.u8(c % 32), c >> 5) : c < 240 ? trit(b.u8(32 + c % 16), (c - 160) >> 4) : trit(b.u8(48 + c % 4), (c - 240) >> 2), m: 0 }),
  TQ2_0: (b, c) => ({ d: b.f16(64), code: shared(b, 0, 32, 2, c) - 1, m: 0 }),
}

const names = Object.keys(sources) as SourceType[]
export const sourceOf = (type: number): Source & { readonly name: SourceType } => {
  const name = names.find(name => sources[name].type === type)!
  return { name, ...sources[name] }
}

/** Value c of a row of blocks of `type`, one of an integer layout, at byte `row`. */
export function valueOf(m: Memory, type: number, row: number, c: number): Value {
  const { name, columns, bytes } = sourceOf(type)
  const at = row + Math.floor(c / columns) * bytes
  const u8 = (i: number): number => m.u8[at + i]!, u16 = (i: number): number => u8(i) | u8(i + 1) << 8
  return values[name as BlockSource]({ u8, i8: i => u8(i) << 24 >> 24, u16, f16: i => half(u16(i)), f32: i => float(u16(i) + u16(i + 2) * 65536) }, c % columns)
}
