import { dot, keep } from './integerProduct'
import { Q4_0, Q4_1, nibbleMask } from './packed'

/** Layouts of nibbles. Their codes fit the seven bits of a relaxed dot too. */
// @ts-ignore: decorator
@inline
export function nibbles(layout: i32): bool {
  return layout == Q4_0 || layout == Q4_1
}

/** Where what is read for its cache line alone goes. */
let sink = 0

/** Σ weight·code of four rows; of Q4_0 Σ (weight − 8)·code, with Σ code from the block record. */
// @ts-ignore: decorator
@inline
function shifted(sum: v128, block: usize, minima: bool): v128 {
  return minima ? sum : i32x4.sub(sum, i32x4.shl(v128.load32_splat(block, 8), 3))
}

// @ts-ignore: decorator
@inline
function four(sums: usize, rows: usize, packed: usize, quad: usize, block: usize, blocks: usize, records: i32, minima: bool, ahead: usize): void {
  const s1 = sums + rows, s2 = s1 + rows, s3 = s2 + rows
  const mask = nibbleMask(0)
  let touched = 0
  for (let b = 0; b < records; b++) {
    let i0 = i32x4.splat(0), i1 = i0, j0 = i0, j1 = i0, k0 = i0, k1 = i0, l0 = i0, l1 = i0
    const end = packed + 128
    const far = packed + ahead
    touched ^= load<i32>(far) ^ load<i32>(far, 64) ^ load<i32>(far, 128)
    do {
      let w0 = v128.load(packed), w1 = v128.load(packed, 16)
      const next = quad + 64
      do {
        const x = v128.and(w0, mask), y = v128.and(w1, mask)
        w0 = i16x8.shr_u(w0, 4), w1 = i16x8.shr_u(w1, 4)
        let q = v128.load32_splat(quad)
        i0 = dot(i0, x, q), i1 = dot(i1, y, q), q = v128.load32_splat(quad, 4)
        j0 = dot(j0, x, q), j1 = dot(j1, y, q), q = v128.load32_splat(quad, 8)
        k0 = dot(k0, x, q), k1 = dot(k1, y, q), q = v128.load32_splat(quad, 12)
        l0 = dot(l0, x, q), l1 = dot(l1, y, q)
        quad += 16
      } while (quad != next)
      packed += 32
    } while (packed != end)
    const t1 = block + blocks, t2 = t1 + blocks, t3 = t2 + blocks
    keep(sums, shifted(i0, block, minima), shifted(i1, block, minima), packed, block, minima)
    keep(s1, shifted(j0, t1, minima), shifted(j1, t1, minima), packed, t1, minima)
    keep(s2, shifted(k0, t2, minima), shifted(k1, t2, minima), packed, t2, minima)
    keep(s3, shifted(l0, t3, minima), shifted(l1, t3, minima), packed, t3, minima)
    packed += minima ? 64 : 32
    block += 16
  }
  sink = touched
}

/** As `integerFour`, straight from nibbles: for so few tokens that widening costs more than it gives. */
export function nibbleFour(sums: usize, rows: usize, packed: usize, quad: usize, block: usize, blocks: usize, records: i32, layout: i32, ahead: usize): void {
  if (layout == Q4_1) four(sums, rows, packed, quad, block, blocks, records, true, ahead)
  else four(sums, rows, packed, quad, block, blocks, records, false, ahead)
}
