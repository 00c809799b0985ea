import { dequantize } from '../../src/gguf/index.ts'
import { layouts, packedBytes, sources, type Activations, type SourceType, type Tensor } from '../../src/kernels/index.ts'
import { grid, normal, random } from '../cases.ts'
import type { Bench } from './harness.ts'

/** Where the f16 scales and minima of a block lie. */
export const scalesAt: Readonly<Record<Exclude<SourceType, 'F32' | 'F16' | 'BF16' | 'Q8_K'>, readonly number[]>> = {
  Q8_0: [0], Q4_0: [0], Q4_1: [0, 2], Q5_0: [0], Q5_1: [0, 2], Q2_K: [80, 82], Q3_K: [108], Q4_K: [0, 2], Q5_K: [0, 2], Q6_K: [208],
  IQ4_NL: [0], IQ4_XS: [0], TQ1_0: [52], TQ2_0: [64],
}

/** f16 bits of scales: 1/4 to 2 and their negatives where sums must be exact, any fraction otherwise, sometimes 0, a subnormal or the largest. */
function scale(next: () => number, exact: boolean, most = false): number {
  const sign = next() < 0.5 ? 0x8000 : 0
  if (exact) return sign | (13 + Math.floor(next() * 3)) << 10
  const kind = next()
  if (most && kind > 0.9) return sign | 0x7bff
  return kind < 0.05 ? sign : kind < 0.1 ? sign | Math.floor(next() * 1024) : sign | (5 + Math.floor(next() * 4)) << 10 | Math.floor(next() * 1024)
}

/** Scales of a block's own that leave sums exact: 0 to 3, in some ±1 or ±2 too. */
function small(type: SourceType, block: Uint8Array): void {
  if (type === 'Q2_K') block.set(block.subarray(0, 16).map(byte => byte & 0x33), 0)
  if (type === 'Q3_K') block.set([...block.subarray(96, 104).map(byte => byte & 0x33), 0xaa, 0xaa, 0xaa, 0xaa], 96)
  if (type === 'Q6_K') block.set(block.subarray(192, 208).map(byte => [1, 2, 255, 254][byte & 3]!), 192)
}

/** Rows of GGUF blocks with random codes. exact: small numbers whose sums of products are exact in f32, of types that layouts are named by. most: the largest scales too. */
export function fileRows(type: SourceType, rows: number, columns: number, seed: number, exact: boolean, most = false): Uint8Array {
  const next = random(seed)
  const floats = (exact ? grid : normal)(type.includes('F') ? rows * columns : 1, seed)
  if (type === 'F32') return new Uint8Array(floats.buffer)
  if (type === 'BF16') return new Uint8Array(Uint16Array.from(new Uint32Array(floats.buffer), bits => bits >>> 16).buffer)
  if (type === 'F16') return new Uint8Array(Uint16Array.from(floats, () => scale(next, exact)).buffer)
  const { bytes, columns: values } = sources[type]
  const out = Uint8Array.from({ length: rows * columns / values * bytes }, () => Math.floor(next() * 256))
  for (let at = 0; at < out.length; at += bytes) {
    const block = new DataView(out.buffer, at, bytes)
    if (exact) small(type, out.subarray(at, at + bytes))
    if (type === 'Q8_K') block.setFloat32(0, next() - 0.5, true)
    else for (const place of scalesAt[type]) block.setUint16(place, scale(next, exact, most), true)
  }
  return out
}

/** Rows of a file as f32. */
export function values(type: SourceType, file: Uint8Array): Float32Array {
  const out = new Float32Array(file.length / sources[type].bytes * sources[type].columns)
  dequantize(type, file, out)
  return out
}

/** Σ |weight| of each row. */
export function magnitudes(type: SourceType, rows: number, columns: number, file: Uint8Array): Float64Array {
  const all = values(type, file)
  return Float64Array.from({ length: rows }, (_, r) => all.subarray(r * columns, (r + 1) * columns).reduce((sum, w) => sum + Math.abs(w), 0))
}

/** Packed weights from file bytes, in two slabs where there are more than 8 rows. */
export async function packed(b: Bench, source: SourceType, rows: number, columns: number, file: Uint8Array): Promise<Tensor> {
  const { type, layout } = sources[source]
  const out = b.tensor([packedBytes(layout, rows, columns)], 'u8')
  const bytes = file.length / rows, cut = rows > 8 ? 8 : rows
  const slabs = [{ first: 0, rows: cut }, { first: cut, rows: rows - cut }].filter(slab => slab.rows)
  for (const { first, rows: count } of slabs) {
    const slab = b.tensor([count * bytes], 'u8', file.subarray(first * bytes, (first + count) * bytes))
    await b.run({ tokens: 0, position: 0 }, () => b.k.repack({ out, source: slab, type, layout: layouts[layout], rows: count, columns, first }))
  }
  return out
}

/** Codes and block records of values [tokens, columns] as `Activations` defines them; the values are what the codes stand for. */
export function activations(b: Bench, tokens: number, columns: number, seed: number, exact: boolean): Activations & { readonly largest: number } {
  const next = random(seed)
  if (columns % 32) {
    const values = (exact ? grid : normal)(tokens * columns, seed)
    return { values: b.tensor([tokens, columns], 'f32', values), codes: null, blocks: null, largest: Math.max(...values.map(Math.abs)) }
  }
  const codes = Int16Array.from({ length: tokens * columns }, () => exact ? Math.floor(next() * 17) - 8 : Math.floor(next() * 65279) - 32639)
  const records = new Float32Array(tokens * columns / 8), sums = new Int32Array(records.buffer)
  const values = new Float32Array(codes.length)
  for (let i = 0; i < records.length / 4; i++) {
    const zeros = next() < 0.1
    const s = zeros ? 0 : exact ? 2 ** -Math.floor(next() * 3) : 2 ** (-14 - Math.floor(next() * 3))
    if (zeros) codes.fill(0, 32 * i, 32 * i + 32)
    const sumOf = (n: number): number => codes.subarray(32 * i, 32 * i + n).reduce((a, c) => a + c, 0), sum = sumOf(32)
    records[4 * i] = s
    records[4 * i + 1] = s * sum
    sums[4 * i + 2] = sum
    sums[4 * i + 3] = sumOf(16)
    for (let c = 32 * i; c < 32 * i + 32; c++) values[c] = codes[c]! * s
  }
  return { values: b.tensor([tokens, columns], 'f32', values), codes: b.tensor([tokens, columns], 'i16', codes),
    blocks: b.tensor([tokens, columns / 32, 4], 'f32', records), largest: values.reduce((a, x) => Math.max(a, Math.abs(x)), 0) }
}
