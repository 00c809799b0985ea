import { roomBytes, roomMost } from '../../kernels/index.ts'
import type { Store } from '../policy.ts'

/** Rows of so many bits in groups of 64 (src/kernels/rows.ts): keys share a scale per channel, values per row; the newest rows, up to 64, stay f32. KIVI, arXiv:2402.02750. */
export function packedRows(bits: number): Store {
  if (bits !== 8 && bits !== 4 && bits !== 2) throw new RangeError(`packedRows: bits must be 8, 4 or 2, got ${bits}`)
  return { name: `${bits} bits, keys by channel, values by row`, type: `q${bits}` }
}

/** Rows that one KV head can hold in the bytes of `rows` i16 ones, every scale, position and the tail counted. */
export const rowsInstead = ({ type }: Store, headDim: number, rows: number): number => roomMost(type, headDim, roomBytes('i16', headDim, rows))
