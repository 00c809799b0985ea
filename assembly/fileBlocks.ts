import { half1 } from './packed'

// Blocks of a GGUF file, as src/gguf/blocks.ts describes them, under ggml's numbers of their types.

const F32: i32 = 0
const F16: i32 = 1
const BF16: i32 = 30
const Q4_0: i32 = 2
const Q4_1: i32 = 3
const Q5_0: i32 = 6
const Q5_1: i32 = 7
const Q8_0: i32 = 8
const Q2_K: i32 = 10
const Q3_K: i32 = 11
const Q4_K: i32 = 12
const Q5_K: i32 = 13
const Q6_K: i32 = 14
const Q8_K: i32 = 15
const IQ4_NL: i32 = 20
const IQ4_XS: i32 = 23
const TQ1_0: i32 = 34
const TQ2_0: i32 = 35

/** Records of 32 columns that a block of an integer type holds. */
export function blockRecords(type: i32): i32 {
  return type >= Q2_K && type != IQ4_NL ? 8 : 1
}

/** Bytes of a block, or of 32 columns where values stand alone. */
export function blockBytes(type: i32): usize {
  switch (type) {
    case F32: return 128
    case F16: case BF16: return 64
    case Q4_0: case IQ4_NL: return 18
    case Q4_1: return 20
    case Q5_0: return 22
    case Q5_1: return 24
    case Q8_0: return 34
    case Q2_K: return 84
    case Q3_K: return 110
    case Q4_K: return 144
    case Q5_K: return 176
    case Q6_K: return 210
    case Q8_K: return 292
    case IQ4_XS: return 136
    case TQ1_0: return 54
    default: return 66
  }
}

/** 16 bytes, their fields of `mask` from bit `shift` on. */
// @ts-ignore: decorator
@inline
function fields(from: usize, shift: i32, mask: i32): v128 {
  return v128.and(i8x16.shr_u(v128.load(from), shift), i8x16.splat(<i8>mask))
}

/** 16 where a bit of the 16 bits at `from` is set. */
// @ts-ignore: decorator
@inline
function fifth(from: usize): v128 {
  const bytes = i8x16.swizzle(v128.load16_splat(from), i8x16(0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1))
  const bit = i8x16(1, 2, 4, 8, 16, 32, 64, -128, 1, 2, 4, 8, 16, 32, 64, -128)
  return v128.and(i8x16.eq(v128.and(bytes, bit), bit), i8x16.splat(16))
}

// @ts-ignore: decorator
@inline
function both(to: usize, low: v128, high: v128): void {
  v128.store(to, low)
  v128.store(to, high, 16)
}

/** d and m of all 32 columns. */
// @ts-ignore: decorator
@inline
function one(constants: usize, d: f32, m: f32): void {
  store<f32>(constants, d), store<f32>(constants, d, 4), store<f32>(constants, m, 8), store<f32>(constants, m, 12)
}

/** d and m of Q4_K and Q5_K: six bits each in the 12 bytes behind d and e. */
function sixBitScales(from: usize, i: i32, constants: usize): void {
  const at = from + <usize>i
  const scale = i < 4 ? <i32>load<u8>(at, 4) & 63 : <i32>load<u8>(at, 8) & 15 | <i32>load<u8>(at) >> 6 << 4
  const minimum = i < 4 ? <i32>load<u8>(at, 8) & 63 : <i32>load<u8>(at, 8) >> 4 | <i32>load<u8>(at, 4) >> 6 << 4
  one(constants, half1(load<u16>(from)) * <f32>scale, -(half1(load<u16>(from, 2)) * <f32>minimum))
}

/** Scale i of Q3_K. */
function thirdScale(scales: usize, i: i32): f32 {
  const low = <i32>load<u8>(scales + <usize>(i & 7)) >> ((i >> 3) << 2) & 15
  const high = <i32>load<u8>(scales + <usize>(i & 3), 8) >> ((i >> 2) << 1) & 3
  return <f32>((low | high << 4) - 32)
}

/** Value j of TQ1_0 plus 1: a byte is a fraction of 256, and times a power of three its next digit in base 3 stands before the point. */
function trit(from: usize, j: i32): i32 {
  const at = j < 160 ? j & 31 : j < 240 ? 32 + (j & 15) : 48 + (j & 3)
  let byte = <i32>load<u8>(from + <usize>at)
  for (let digit = j < 160 ? j >> 5 : j < 240 ? (j - 160) >> 4 : (j - 240) >> 2; digit > 0; digit--) byte = byte * 3 & 255
  return byte * 3 >> 8
}

/**
 * Columns 32·i … of one block: to [32] u8 what the layout of the type stores, constants [4] f32: d of the first 16 columns and
 * of the others, m of both.
 */
export function decode(type: i32, from: usize, i: i32, to: usize, constants: usize): void {
  const n = <usize>i
  switch (type) {
    case Q8_0:
      both(to, v128.load(from, 2), v128.load(from, 18))
      return one(constants, half1(load<u16>(from)), 0)
    case Q4_0: case IQ4_NL:
      both(to, fields(from + 2, 0, 15), fields(from + 2, 4, 15))
      return one(constants, half1(load<u16>(from)), 0)
    case Q4_1:
      both(to, fields(from + 4, 0, 15), fields(from + 4, 4, 15))
      return one(constants, half1(load<u16>(from)), half1(load<u16>(from, 2)))
    case Q5_0: {
      const zero = i8x16.splat(16)
      both(to, i8x16.sub(v128.or(fields(from + 6, 0, 15), fifth(from + 2)), zero), i8x16.sub(v128.or(fields(from + 6, 4, 15), fifth(from + 4)), zero))
      return one(constants, half1(load<u16>(from)), 0)
    }
    case Q5_1:
      both(to, v128.or(fields(from + 8, 0, 15), fifth(from + 4)), v128.or(fields(from + 8, 4, 15), fifth(from + 6)))
      return one(constants, half1(load<u16>(from)), half1(load<u16>(from, 2)))
    case IQ4_XS: {
      const bytes = from + 8 + (n << 4)
      both(to, fields(bytes, 0, 15), fields(bytes, 4, 15))
      const scale = <i32>load<u8>(from + (n >> 1), 4) >> ((i & 1) << 2) & 15 | (<i32>load<u16>(from, 2) >> (i << 1) & 3) << 4
      return one(constants, half1(load<u16>(from)) * <f32>(scale - 32), 0)
    }
    case Q8_K:
      both(to, v128.load(from + (n << 5), 4), v128.load(from + (n << 5), 20))
      return one(constants, load<f32>(from), 0)
    case TQ1_0:
      // Q4_0's layout: n − 8 is the value.
      for (let j = 0; j < 32; j++) store<u8>(to + <usize>j, <u8>(trit(from, (i << 5) + j) + 7))
      return one(constants, half1(load<u16>(from, 52)), 0)
    default: decodeRuns(type, from, i, to, constants)
  }
}

/** The same for types whose bits lie in runs of 32 bytes. */
function decodeRuns(type: i32, from: usize, i: i32, to: usize, constants: usize): void {
  const n = <usize>i
  const twos = (n >> 2) << 5, two = (i & 3) << 1
  switch (type) {
    case Q2_K: {
      both(to, fields(from + 16 + twos, two, 3), fields(from + 32 + twos, two, 3))
      const d = half1(load<u16>(from, 80)), e = half1(load<u16>(from, 82))
      const first = <i32>load<u8>(from + (n << 1)), second = <i32>load<u8>(from + (n << 1), 1)
      store<f32>(constants, d * <f32>(first & 15)), store<f32>(constants, d * <f32>(second & 15), 4)
      store<f32>(constants, -(e * <f32>(first >> 4)), 8), store<f32>(constants, -(e * <f32>(second >> 4)), 12)
      return
    }
    case Q3_K: {
      // n − 8 is the value, code + 4 × third bit − 4.
      const four = i8x16.splat(4)
      both(to, i8x16.add(v128.or(fields(from + 32 + twos, two, 3), i8x16.shl(fields(from, i, 1), 2)), four),
        i8x16.add(v128.or(fields(from + 48 + twos, two, 3), i8x16.shl(fields(from + 16, i, 1), 2)), four))
      const d = half1(load<u16>(from, 108))
      store<f32>(constants, d * thirdScale(from + 96, i << 1)), store<f32>(constants, d * thirdScale(from + 96, (i << 1) + 1), 4)
      return
    }
    case Q4_K: case Q5_K: {
      const codes = from + (type == Q4_K ? 16 : 48) + ((n >> 1) << 5), shift = (i & 1) << 2
      let low = fields(codes, shift, 15), high = fields(codes + 16, shift, 15)
      if (type == Q5_K) low = v128.or(low, i8x16.shl(fields(from + 16, i, 1), 4)), high = v128.or(high, i8x16.shl(fields(from + 32, i, 1), 4))
      both(to, low, high)
      return sixBitScales(from, i, constants)
    }
    case Q6_K: {
      const codes = from + ((n >> 2) << 6) + ((n & 1) << 5), shift = (i & 2) << 1
      both(to, v128.or(fields(codes, shift, 15), i8x16.shl(fields(from + 128 + twos, two, 3), 4)),
        v128.or(fields(codes + 16, shift, 15), i8x16.shl(fields(from + 144 + twos, two, 3), 4)))
      const d = half1(load<u16>(from, 208))
      store<f32>(constants, d * <f32>load<i8>(from + (n << 1), 192)), store<f32>(constants, d * <f32>load<i8>(from + (n << 1), 193), 4)
      return
    }
    default: { // TQ2_0, in Q4_0's layout: n − 8 is the value, code − 1.
      const seven = i8x16.splat(7)
      both(to, i8x16.add(fields(from + twos, two, 3), seven), i8x16.add(fields(from + 16 + twos, two, 3), seven))
      one(constants, half1(load<u16>(from, 64)), 0)
    }
  }
}
