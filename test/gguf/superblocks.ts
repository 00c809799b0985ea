// f32 to blocks of 256 values (and IQ4_NL), plainly: scales from the extremes of each run, codes to the nearest. llama.cpp searches for
// better scales, so its bytes differ; what these stand for is what any reader must compute with.
import { dequantize } from '../../src/gguf/index.ts'
import { toHalf } from './half.ts'

type Write = (out: DataView, at: number, x: Float32Array) => void

const { abs, max, min, round } = Math
const largest = (x: ArrayLike<number>): number => Array.from(x).reduce((most, v) => max(most, abs(v)), 0)
const clamp = (x: number, low: number, high: number): number => min(high, max(low, round(x)))
const by = (x: number, unit: number): number => unit === 0 ? 0 : x / unit

/** Stores an f16 and returns what is read back. */
function half(out: DataView, at: number, x: number): number {
  out.setUint16(at, toHalf(x), true)
  const back = new Float32Array(1)
  dequantize('F16', new Uint8Array(out.buffer, out.byteOffset + at, 2), back)
  return back[0]!
}

const or = (out: DataView, at: number, bits: number): void => out.setUint8(at, out.getUint8(at) | bits)

/** Code of value j to its bits in runs of 32 bytes. */
const runs = (bits: 1 | 2 | 4) => (out: DataView, at: number, j: number, code: number): void => {
  const inByte = 8 / bits, run = Math.floor(j / (32 * inByte))
  or(out, at + 32 * run + j % 32, code << bits * (j >> 5) % 8)
}
const ones = runs(1), twos = runs(2), fours = runs(4)

interface Steps { readonly d: number[]; readonly m: number[] }

/** For each `step` values, d and m ≤ 0 with codes 0 … top, both as whole multiples of two f16 up to `most`. */
function scales(out: DataView, at: number, x: Float32Array, step: number, top: number, most: number, put: (i: number, scale: number, minimum: number) => void): Steps {
  const parts = Array.from({ length: 256 / step }, (_, i) => x.subarray(i * step, (i + 1) * step))
  const lows = parts.map(part => -min(0, ...part)), spans = parts.map((part, i) => (max(...part, 0) + lows[i]!) / top)
  const d = half(out, at, largest(spans) / most), e = half(out, at + 2, largest(lows) / most)
  const steps: Steps = { d: [], m: [] }
  parts.forEach((_, i) => {
    const scale = clamp(by(spans[i]!, d), 0, most), minimum = clamp(by(lows[i]!, e), 0, most)
    put(i, scale, minimum)
    steps.d.push(d * scale)
    steps.m.push(-e * minimum)
  })
  return steps
}

/** The 12 bytes of eight scales and minima of 6 bits. */
function sixBits(out: DataView, at: number, i: number, scale: number, minimum: number): void {
  if (i < 4) {
    or(out, at + i, scale)
    or(out, at + 4 + i, minimum)
  } else {
    or(out, at + 4 + i, scale & 15 | (minimum & 15) << 4)
    or(out, at + i - 4, scale >> 4 << 6)
    or(out, at + i, minimum >> 4 << 6)
  }
}

const withMinima = (bits: 4 | 5): Write => (out, at, x) => {
  const top = 2 ** bits - 1, codes = at + (bits === 4 ? 16 : 48)
  const { d, m } = scales(out, at, x, 32, top, 63, (i, scale, minimum) => sixBits(out, at + 4, i, scale, minimum))
  x.forEach((v, j) => {
    const code = clamp(by(v - m[j >> 5]!, d[j >> 5]!), 0, top)
    fours(out, codes, j, code & 15)
    if (bits === 5) ones(out, at + 16, j, code >> 4)
  })
}

/** One scale for each 16 values, whole multiples up to `most` of an f16 at `place`; codes −top … top. */
function sixteenths(out: DataView, place: number, x: Float32Array, top: number, most: number, put: (i: number, scale: number) => void): number[] {
  const spans = Array.from({ length: 16 }, (_, i) => largest(x.subarray(16 * i, 16 * i + 16)) / top)
  const d = half(out, place, largest(spans) / most)
  return spans.map((span, i) => {
    const scale = clamp(by(span, d), 0, most)
    put(i, scale)
    return d * scale
  })
}

const curve = [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113]
const nearest = (x: number): number => curve.reduce((best, value, n) => abs(value - x) < abs(curve[best]! - x) ? n : best, 0)

/** 32 values as nibbles of `code`, 16 apart in a byte. */
const pairs = (out: DataView, at: number, x: Float32Array, code: (v: number) => number): void =>
  x.forEach((v, j) => or(out, at + j % 16, code(v) << 4 * (j >> 4)))

export const superblocks: Readonly<Record<'Q2_K' | 'Q3_K' | 'Q4_K' | 'Q5_K' | 'Q6_K' | 'Q8_K' | 'IQ4_NL' | 'IQ4_XS', Write>> = {
  Q2_K(out, at, x) {
    const { d, m } = scales(out, at + 80, x, 16, 3, 15, (i, scale, minimum) => out.setUint8(at + i, scale | minimum << 4))
    x.forEach((v, j) => twos(out, at + 16, j, clamp(by(v - m[j >> 4]!, d[j >> 4]!), 0, 3)))
  },
  Q3_K(out, at, x) {
    const d = sixteenths(out, at + 108, x, 3.5, 31, (i, scale) => {
      or(out, at + 96 + i % 8, (scale + 32 & 15) << 4 * (i >> 3))
      or(out, at + 104 + i % 4, scale + 32 >> 4 << 2 * (i >> 2))
    })
    x.forEach((v, j) => {
      const code = clamp(by(v, d[j >> 4]!), -4, 3) + 4
      twos(out, at + 32, j, code & 3)
      ones(out, at, j, code >> 2)
    })
  },
  Q4_K: withMinima(4),
  Q5_K: withMinima(5),
  Q6_K(out, at, x) {
    const d = sixteenths(out, at + 208, x, 31.5, 127, (i, scale) => out.setInt8(at + 192 + i, scale))
    x.forEach((v, j) => {
      const code = clamp(by(v, d[j >> 4]!), -32, 31) + 32
      or(out, at + (j >> 7) * 64 + j % 64, (code & 15) << 4 * (j >> 6 & 1))
      twos(out, at + 128, j, code >> 4)
    })
  },
  Q8_K(out, at, x) {
    const d = Math.fround(largest(x) / 127)
    out.setFloat32(at, d, true)
    x.forEach((v, j) => out.setInt8(at + 4 + j, clamp(by(v, d), -127, 127)))
    for (let i = 0; i < 16; i++) out.setInt16(at + 260 + 2 * i, Array.from({ length: 16 }, (_, j) => out.getInt8(at + 4 + 16 * i + j)).reduce((a, b) => a + b), true)
  },
  IQ4_NL(out, at, x) {
    const d = half(out, at, largest(x) / 120)
    pairs(out, at + 2, x, v => nearest(by(v, d)))
  },
  IQ4_XS(out, at, x) {
    const parts = Array.from({ length: 8 }, (_, i) => x.subarray(32 * i, 32 * i + 32)), spans = parts.map(part => largest(part) / 120)
    const d = half(out, at, largest(spans) / 31)
    parts.forEach((part, i) => {
      const scale = clamp(by(spans[i]!, d), 0, 31)
      or(out, at + 4 + (i >> 1), (scale + 32 & 15) << 4 * (i % 2))
      or(out, at + 2 + (i >> 2), (scale + 32 >> 4) << 2 * (i % 4))
      pairs(out, at + 8 + 16 * i, part, v => nearest(by(v, d * scale)))
    })
  },
}
