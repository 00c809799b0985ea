import type { Words } from '../kernels/operations.ts'
import { dequantized, layoutName, rowBytes } from './blocks.ts'
import type { Memory, State } from './memory.ts'

function lookUp(m: Memory, { out, ids, packed, layout, rows, dim, scale }: Words<'embed'>, { tokens, row }: State): void {
  const name = layoutName(layout)
  for (let i = row; i < row + tokens; i++) {
    const id = m.u32[ids / 4 + i]!
    const weights = id < rows ? dequantized(m, name, packed + id * rowBytes(name, dim), dim) : new Float32Array(dim)
    m.f32.set(weights.map(w => w * scale), out / 4 + i * dim)
  }
}

/** An id that no row has gives a row of zeros. */
export const embed = { embed: lookUp }
