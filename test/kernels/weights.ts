import { layouts, packedBytes, type Activations, type Layout, type Tensor } from '../../src/kernels/index.ts'
import { grid, normal, random } from '../cases.ts'
import type { Bench } from './harness.ts'

/** Bytes of 32 columns in a file, and where the codes of a block begin. */
const block = { F32: [128, 0], F16: [64, 0], BF16: [64, 0], Q8_0: [34, 2], Q4_0: [18, 2], Q4_1: [20, 4] } as const

/** f16 bits of scales: 1/4 to 2 and their negatives where sums must be exact, any fraction otherwise, sometimes 0 or a subnormal. */
function scale(next: () => number, exact: boolean): number {
  const sign = next() < 0.5 ? 0x8000 : 0
  if (exact) return sign | (13 + Math.floor(next() * 3)) << 10
  const kind = next()
  return kind < 0.05 ? sign : kind < 0.1 ? sign | Math.floor(next() * 1024) : sign | (5 + Math.floor(next() * 4)) << 10 | Math.floor(next() * 1024)
}

/** Rows of GGUF blocks with random codes. exact: small numbers whose sums of products are exact in f32. */
export function fileRows(layout: Layout, rows: number, columns: number, seed: number, exact: boolean): Uint8Array {
  const next = random(seed)
  const floats = (exact ? grid : normal)(rows * columns, seed)
  if (layout === 'F32') return new Uint8Array(floats.buffer)
  if (layout === 'BF16') return new Uint8Array(Uint16Array.from(new Uint32Array(floats.buffer), bits => bits >>> 16).buffer)
  if (layout === 'F16') return new Uint8Array(Uint16Array.from(floats, () => scale(next, exact)).buffer)
  const [bytes, codes] = block[layout]
  const out = Uint8Array.from({ length: rows * columns / 32 * bytes }, () => Math.floor(next() * 256))
  for (let at = 0; at < out.length; at += bytes)
    for (let half = 0; half < codes; half += 2) new DataView(out.buffer).setUint16(at + half, scale(next, exact), true)
  return out
}

/** Packed weights from file bytes, in two slabs where there are more than 8 rows; padded with zero columns nowhere. */
export async function packed(b: Bench, layout: Layout, rows: number, columns: number, file: Uint8Array): Promise<Tensor> {
  const out = b.tensor([packedBytes(layout, rows, columns)], 'u8')
  const bytes = file.length / rows, cut = rows > 8 ? 8 : rows
  const slabs = [{ first: 0, rows: cut }, { first: cut, rows: rows - cut }].filter(slab => slab.rows)
  for (const { first, rows: count } of slabs) {
    const source = b.tensor([count * bytes], 'u8', file.subarray(first * bytes, (first + count) * bytes))
    await b.run({ tokens: 0, position: 0 }, () => b.k.repack({ out, source, layout: layouts[layout], rows: count, columns, first }))
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
    const sum = codes.subarray(32 * i, 32 * i + 32).reduce((a, c) => a + c, 0)
    records[4 * i] = s
    records[4 * i + 1] = s * sum
    sums[4 * i + 2] = sum
    sums[4 * i + 3] = 0
    for (let c = 32 * i; c < 32 * i + 32; c++) values[c] = codes[c]! * s
  }
  return { values: b.tensor([tokens, columns], 'f32', values), codes: b.tensor([tokens, columns], 'i16', codes),
    blocks: b.tensor([tokens, columns / 32, 4], 'f32', records), largest: values.reduce((a, x) => Math.max(a, Math.abs(x)), 0) }
}
