import { inverseNorm, scaleBy } from './activation'
import { firstRow, tokens } from './registers'
import { mulAdd } from './simd'

/** Tokens of one block. */
// @ts-ignore: decorator
@inline
const ROWS: i32 = 16

// normalizeHeads | x | weight | heads | headDim | epsilon |

export function normalizeHeadsBlocks(a: usize): i32 {
  return (tokens() + ROWS - 1) / ROWS
}

/** Block: 16 tokens. */
export function normalizeHeads(a: usize, block: i32, scratch: usize): void {
  const weight = load<usize>(a, 4), heads = load<i32>(a, 8), headDim = load<i32>(a, 12), epsilon = load<f32>(a, 16)
  const bytes = <usize>headDim << 2
  const end = load<usize>(a) + <usize>(min(tokens(), (block + 1) * ROWS) * heads) * bytes
  for (let x = load<usize>(a) + <usize>(block * ROWS * heads) * bytes; x < end; x += bytes) scaleBy(x, x, weight, headDim, inverseNorm(x, headDim, epsilon))
}

// join | out | x | weight | dim | epsilon | scale |

export function joinBlocks(a: usize): i32 {
  return (tokens() + ROWS - 1) / ROWS
}

/** Block: 16 tokens. x is normalised where it stands. */
export function join(a: usize, block: i32, scratch: usize): void {
  const weight = load<usize>(a, 8), dim = load<i32>(a, 12), epsilon = load<f32>(a, 16), scale = load<f32>(a, 20)
  const bytes = <usize>dim << 2, by = f32x4.splat(scale)
  const end = min(tokens(), (block + 1) * ROWS)
  for (let t = block * ROWS; t < end; t++) {
    const x = load<usize>(a, 4) + <usize>t * bytes
    if (weight) scaleBy(x, x, weight, dim, inverseNorm(x, dim, epsilon))
    const out = load<usize>(a) + <usize>(firstRow() + t) * bytes
    let i = 0
    for (; i + 4 <= dim; i += 4) {
      const at = <usize>i << 2
      v128.store(out + at, mulAdd(v128.load(x + at), by, v128.load(out + at)))
    }
    for (; i < dim; i++) {
      const at = <usize>i << 2
      store<f32>(out + at, load<f32>(out + at) + load<f32>(x + at) * scale)
    }
  }
}
