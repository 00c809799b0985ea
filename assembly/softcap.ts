import { setCost, tokens } from './registers'
import { exp4 } from './simd'

/** cap × tanh(x / cap) in four lanes: tanh y = ±(1 − e) / (1 + e) with e = e^(−2 |y|). inverse: 1 / cap. */
// @ts-ignore: decorator
@inline
export function cap4(x: v128, cap: v128, inverse: v128): v128 {
  const y = f32x4.mul(x, inverse)
  const e = exp4(f32x4.mul(f32x4.abs(y), f32x4.splat(-2)))
  const t = f32x4.mul(cap, f32x4.div(f32x4.sub(f32x4.splat(1), e), f32x4.add(f32x4.splat(1), e)))
  return v128.bitselect(x, t, i32x4.splat(0x80000000))
}

/** n scores [·] f32, in fours: up to three more are read and written. */
export function capScores(scores: usize, n: i32, cap: f32): void {
  const c = f32x4.splat(cap), inverse = f32x4.splat(<f32>1 / cap)
  for (const end = scores + (<usize>n << 2); scores < end; scores += 16) v128.store(scores, cap4(v128.load(scores), c, inverse))
}

// softcap | x | n | scale | cap |

/** Numbers of one block. */
// @ts-ignore: decorator
@inline
const BLOCK: i32 = 16384

export function softcapBlocks(a: usize): i32 {
  setCost(BLOCK / 100)
  return (tokens() * load<i32>(a, 4) + BLOCK - 1) / BLOCK
}

/** Block: 16,384 numbers. */
export function softcap(a: usize, block: i32, scratch: usize): void {
  const scale = load<f32>(a, 8), cap = load<f32>(a, 12)
  const by = f32x4.splat(scale), c = f32x4.splat(cap), inverse = f32x4.splat(<f32>1 / cap)
  let x = load<usize>(a) + (<usize>(block * BLOCK) << 2)
  const end = load<usize>(a) + (<usize>min(tokens() * load<i32>(a, 4), (block + 1) * BLOCK) << 2)
  for (; x + 16 <= end; x += 16) {
    const v = f32x4.mul(v128.load(x), by)
    v128.store(x, cap == 0 ? v : cap4(v, c, inverse))
  }
  for (; x < end; x += 4) {
    const v = f32x4.mul(v128.load32_splat(x), by)
    v128.store32_lane(x, cap == 0 ? v : cap4(v, c, inverse), 0)
  }
}
