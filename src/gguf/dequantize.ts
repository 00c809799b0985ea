import { blockTypes, type BlockName } from './blocks.ts'

/**
 * Whole blocks to f32. Products of scales and a code are exact in f32 (11 bits of d, at most 7 of a block's own scale, at most 7 of a
 * code beside them) but for Q8_K, whose d has 24: so what rounds is one sum, or one product, where it is stored, and these are
 * ggml's bits, fused or not.
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
    default:
      for (let b = 0; b < blocks; b++) expand[name](bytes.subarray(b * type.bytes, (b + 1) * type.bytes), out.subarray(b * type.values, (b + 1) * type.values))
  }
}

/** Codes that IQ4_NL and IQ4_XS stand for. */
const curve = [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113] as const

type Expand = (x: Uint8Array, out: Float32Array) => void

/** 32 values with nibbles from byte `at` on: value j is d × code(nibble, j) + m. */
function nibbles(x: Uint8Array, at: number, out: Float32Array, d: number, m: number, code: (nibble: number, j: number) => number): void {
  for (let j = 0; j < 16; j++) {
    out[j] = d * code(x[at + j]! & 15, j) + m
    out[j + 16] = d * code(x[at + j]! >> 4, j + 16) + m
  }
}

/** The bit of value j in 32 bits from byte `at` on, as a fifth bit. */
const fifth = (x: Uint8Array, at: number, j: number): number => (x[at + (j >> 3)]! >> (j & 7) & 1) << 4

/** The bits of value j (of 256) in runs of 32 bytes from byte `at` on. */
const ones = (x: Uint8Array, at: number, j: number): number => x[at + (j & 31)]! >> (j >> 5) & 1
const twos = (x: Uint8Array, at: number, j: number): number => x[at + (j >> 7) * 32 + (j & 31)]! >> 2 * (j >> 5 & 3) & 3
const fours = (x: Uint8Array, at: number, j: number): number => x[at + (j >> 6) * 32 + (j & 31)]! >> 4 * (j >> 5 & 1) & 15

/** Values of Q4_K and Q5_K: eight scales and minima of 6 bits in the 12 bytes behind d and e. */
function scaled(x: Uint8Array, out: Float32Array, code: (j: number) => number): void {
  const d = half(u16(x, 0)), e = half(u16(x, 2))
  for (let i = 0; i < 8; i++) {
    const scale = i < 4 ? x[4 + i]! & 63 : x[8 + i]! & 15 | x[i]! >> 6 << 4
    const minimum = i < 4 ? x[8 + i]! & 63 : x[8 + i]! >> 4 | x[4 + i]! >> 6 << 4
    for (let j = 32 * i; j < 32 * i + 32; j++) out[j] = d * scale * code(j) - e * minimum
  }
}

const expand: Readonly<Record<Exclude<BlockName, 'F32' | 'F16' | 'BF16'>, Expand>> = {
  Q8_0(x, out) {
    const d = half(u16(x, 0))
    for (let j = 0; j < 32; j++) out[j] = d * i8(x[2 + j]!)
  },
  // −0 is what changes no sum, the sign of a zero included.
  Q4_0: (x, out) => nibbles(x, 2, out, half(u16(x, 0)), -0, n => n - 8),
  Q4_1: (x, out) => nibbles(x, 4, out, half(u16(x, 0)), half(u16(x, 2)), n => n),
  Q5_0: (x, out) => nibbles(x, 6, out, half(u16(x, 0)), -0, (n, j) => (n | fifth(x, 2, j)) - 16),
  Q5_1: (x, out) => nibbles(x, 8, out, half(u16(x, 0)), half(u16(x, 2)), (n, j) => n | fifth(x, 4, j)),
  IQ4_NL: (x, out) => nibbles(x, 2, out, half(u16(x, 0)), -0, n => curve[n]!),
  Q2_K(x, out) {
    const d = half(u16(x, 80)), e = half(u16(x, 82))
    for (let j = 0; j < 256; j++) out[j] = d * (x[j >> 4]! & 15) * twos(x, 16, j) - e * (x[j >> 4]! >> 4)
  },
  Q3_K(x, out) {
    const d = half(u16(x, 108))
    for (let j = 0; j < 256; j++) {
      const i = j >> 4, scale = x[96 + (i & 7)]! >> 4 * (i >> 3) & 15 | (x[104 + (i & 3)]! >> 2 * (i >> 2) & 3) << 4
      out[j] = d * (scale - 32) * (twos(x, 32, j) + 4 * ones(x, 0, j) - 4)
    }
  },
  Q4_K: (x, out) => scaled(x, out, j => fours(x, 16, j)),
  Q5_K: (x, out) => scaled(x, out, j => fours(x, 48, j) | ones(x, 16, j) << 4),
  Q6_K(x, out) {
    const d = half(u16(x, 208))
    for (let j = 0; j < 256; j++) {
      const low = x[(j >> 7) * 64 + (j & 63)]! >> 4 * (j >> 6 & 1) & 15
      out[j] = d * i8(x[192 + (j >> 4)]!) * ((low | twos(x, 128, j) << 4) - 32)
    }
  },
  Q8_K(x, out) {
    const d = new DataView(x.buffer, x.byteOffset).getFloat32(0, true)
    for (let j = 0; j < 256; j++) out[j] = d * i8(x[4 + j]!)
  },
  IQ4_XS(x, out) {
    const d = half(u16(x, 0)), upper = u16(x, 2)
    for (let i = 0; i < 8; i++) {
      const scale = x[4 + (i >> 1)]! >> 4 * (i & 1) & 15 | (upper >> 2 * i & 3) << 4
      nibbles(x, 8 + 16 * i, out.subarray(32 * i), d * (scale - 32), -0, n => curve[n]!)
    }
  },
  TQ1_0(x, out) {
    const d = half(u16(x, 52))
    // A byte is a fraction of 256: times 3^i, its next digit in base 3 stands before the point.
    const trits = (at: number, bytes: number, digits: number, first: number): void => {
      for (let i = 0, power = 1; i < digits; i++, power *= 3)
        for (let j = 0; j < bytes; j++) out[first + bytes * i + j] = d * (((x[at + j]! * power & 255) * 3 >> 8) - 1)
    }
    trits(0, 32, 5, 0)
    trits(32, 16, 5, 160)
    trits(48, 4, 4, 240)
  },
  TQ2_0(x, out) {
    const d = half(u16(x, 64))
    for (let j = 0; j < 256; j++) out[j] = d * (twos(x, 0, j) - 1)
  },
}

const i8 = (byte: number): number => byte << 24 >> 24
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
