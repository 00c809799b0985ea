import { firstRow, tokens } from './registers'
import { exp4 } from './simd'

// What products read (src/kernels/activations.ts): f32 values, and i16 codes with a record per block of 32:
//   | scale f32 | scale × Σ codes f32 | Σ codes i32 | Σ of the first 16 i32 |

/** Largest code, 0x7f7f: the i16 splits exactly into two signed bytes. */
// @ts-ignore: decorator
@inline
const CODE: i32 = 32639
/** The mantissa bits of 32639 = 1.9921… × 2^14: up to them a largest value of exponent e fits the scale 2^(e − 14). */
// @ts-ignore: decorator
@inline
const CODE_MANTISSA: i32 = (CODE - 0x4000) << 9
/** Tokens of one block. */
// @ts-ignore: decorator
@inline
const ROWS: i32 = 16

// @ts-ignore: decorator
@inline
function rowBlocks(): i32 {
  return (tokens() + ROWS - 1) / ROWS
}

/** Codes and block records of n f32.. x, codes, blocks: one row each. */
function pack(x: usize, codes: usize, blocks: usize, n: i32): void {
  for (let i = 0; i + 32 <= n; i += 32, x += 128, codes += 64, blocks += 16) {
    const x0 = v128.load(x), x1 = v128.load(x, 16), x2 = v128.load(x, 32), x3 = v128.load(x, 48)
    const x4 = v128.load(x, 64), x5 = v128.load(x, 80), x6 = v128.load(x, 96), x7 = v128.load(x, 112)
    let top = f32x4.max(f32x4.max(f32x4.max(f32x4.abs(x0), f32x4.abs(x1)), f32x4.max(f32x4.abs(x2), f32x4.abs(x3))),
      f32x4.max(f32x4.max(f32x4.abs(x4), f32x4.abs(x5)), f32x4.max(f32x4.abs(x6), f32x4.abs(x7))))
    top = f32x4.max(top, v128.shuffle<i32>(top, top, 2, 3, 0, 1))
    top = f32x4.max(top, v128.shuffle<i32>(top, top, 1, 0, 3, 2))
    const bits = i32x4.extract_lane(top, 0)
    // Exponent field of the scale: at least 1, the smallest normal f32; at most such that 1 / scale is normal too.
    const field = min(max((bits >>> 23) - 14 + i32((bits & 0x7fffff) > CODE_MANTISSA), 1), 253)
    const scale = bits == 0 ? <f32>0 : reinterpret<f32>(field << 23)
    const inverse = f32x4.splat(bits == 0 ? <f32>0 : reinterpret<f32>((254 - field) << 23))
    const c0 = i32x4.trunc_sat_f32x4_s(f32x4.nearest(f32x4.mul(x0, inverse))), c1 = i32x4.trunc_sat_f32x4_s(f32x4.nearest(f32x4.mul(x1, inverse)))
    const c2 = i32x4.trunc_sat_f32x4_s(f32x4.nearest(f32x4.mul(x2, inverse))), c3 = i32x4.trunc_sat_f32x4_s(f32x4.nearest(f32x4.mul(x3, inverse)))
    const c4 = i32x4.trunc_sat_f32x4_s(f32x4.nearest(f32x4.mul(x4, inverse))), c5 = i32x4.trunc_sat_f32x4_s(f32x4.nearest(f32x4.mul(x5, inverse)))
    const c6 = i32x4.trunc_sat_f32x4_s(f32x4.nearest(f32x4.mul(x6, inverse))), c7 = i32x4.trunc_sat_f32x4_s(f32x4.nearest(f32x4.mul(x7, inverse)))
    v128.store(codes, i16x8.narrow_i32x4_s(c0, c1))
    v128.store(codes, i16x8.narrow_i32x4_s(c2, c3), 16)
    v128.store(codes, i16x8.narrow_i32x4_s(c4, c5), 32)
    v128.store(codes, i16x8.narrow_i32x4_s(c6, c7), 48)
    const low = i32x4.add(i32x4.add(c0, c1), i32x4.add(c2, c3)), high = i32x4.add(i32x4.add(c4, c5), i32x4.add(c6, c7))
    let both = i32x4.add(v128.shuffle<i32>(low, high, 0, 1, 4, 5), v128.shuffle<i32>(low, high, 2, 3, 6, 7))
    both = i32x4.add(both, v128.shuffle<i32>(both, both, 1, 0, 3, 2))
    const first = i32x4.extract_lane(both, 0), sum = first + i32x4.extract_lane(both, 2)
    store<f32>(blocks, scale)
    store<f32>(blocks, scale * <f32>sum, 4)
    store<i32>(blocks, sum, 8)
    store<i32>(blocks, first, 12)
  }
}

// normalize | values | codes | blocks | x | weight | dim | epsilon |

export function normalizeBlocks(a: usize): i32 {
  return rowBlocks()
}

/** 1 / √(mean of squares + epsilon) of x [dim]. Squares are summed in f64, four chains. */
export function inverseNorm(x: usize, dim: i32, epsilon: f32): f32 {
  let s0 = f64x2.splat(0), s1 = s0
  let i = 0
  for (; i + 4 <= dim; i += 4) {
    const v = v128.load(x + (<usize>i << 2))
    const low = f64x2.promote_low_f32x4(v), high = f64x2.promote_low_f32x4(v128.shuffle<i32>(v, v, 2, 3, 0, 1))
    s0 = f64x2.add(s0, f64x2.mul(low, low))
    s1 = f64x2.add(s1, f64x2.mul(high, high))
  }
  s0 = f64x2.add(s0, s1)
  let squares = f64x2.extract_lane(s0, 0) + f64x2.extract_lane(s0, 1)
  for (; i < dim; i++) {
    const v = <f64>load<f32>(x + (<usize>i << 2))
    squares += v * v
  }
  return <f32>(1.0 / Math.sqrt(squares / <f64>dim + <f64>epsilon))
}

/** out [dim] = x × by × weight; out may be x. */
export function scaleBy(out: usize, x: usize, weight: usize, dim: i32, inverse: f32): void {
  const by = f32x4.splat(inverse)
  let i = 0
  for (; i + 4 <= dim; i += 4) {
    const at = <usize>i << 2
    v128.store(out + at, f32x4.mul(f32x4.mul(v128.load(x + at), by), v128.load(weight + at)))
  }
  for (; i < dim; i++) {
    const at = <usize>i << 2
    store<f32>(out + at, load<f32>(x + at) * inverse * load<f32>(weight + at))
  }
}

/** Block: 16 tokens. scratch: [dim] f32. */
export function normalize(a: usize, block: i32, scratch: usize): void {
  const values = load<usize>(a), codes = load<usize>(a, 4), blocks = load<usize>(a, 8)
  const weight = load<usize>(a, 16), dim = load<i32>(a, 20), epsilon = load<f32>(a, 24)
  const bytes = <usize>dim << 2
  const end = min(tokens(), (block + 1) * ROWS)
  for (let t = block * ROWS; t < end; t++) {
    const x = load<usize>(a, 12) + <usize>(firstRow() + t) * bytes
    const out = values ? values + <usize>t * bytes : scratch
    scaleBy(out, x, weight, dim, inverseNorm(x, dim, epsilon))
    if (codes) pack(out, codes + (<usize>t * <usize>dim << 1), blocks + <usize>t * (<usize>dim >> 1), dim)
  }
}

// quantize | values | codes | blocks | x | dim | residual |

export function quantizeBlocks(a: usize): i32 {
  return rowBlocks()
}

export function quantize(a: usize, block: i32, scratch: usize): void {
  const values = load<usize>(a), codes = load<usize>(a, 4), blocks = load<usize>(a, 8), dim = load<i32>(a, 16)
  const from = load<i32>(a, 20) ? firstRow() : 0
  const bytes = <usize>dim << 2
  const end = min(tokens(), (block + 1) * ROWS)
  for (let t = block * ROWS; t < end; t++) {
    const x = load<usize>(a, 12) + <usize>(from + t) * bytes
    if (values) memory.copy(values + <usize>t * bytes, x, bytes)
    if (codes) pack(x, codes + (<usize>t * <usize>dim << 1), blocks + <usize>t * (<usize>dim >> 1), dim)
  }
}

// gate | values | codes | blocks | gate | up | dim | gelu |

// √(2 / π) × 2, and that times 0.044715: gelu(x) = x / (1 + e^−(A x + B x³)) (arXiv:1606.08415, the form with tanh).
const GELU_A: f32 = 1.5957691216057308
const GELU_B: f32 = 0.07135481627260025

/** Four of silu(g), or gelu(g): g / (1 + e^−y) with y = g, or the polynomial above. */
// @ts-ignore: decorator
@inline
function activate4(x: v128, gelu: i32): v128 {
  let y = x
  if (gelu) y = f32x4.mul(x, f32x4.add(f32x4.splat(GELU_A), f32x4.mul(f32x4.splat(GELU_B), f32x4.mul(x, x))))
  const e = exp4(f32x4.min(f32x4.neg(y), f32x4.splat(87)))
  return f32x4.div(x, f32x4.add(f32x4.splat(1), e))
}

export function gateBlocks(a: usize): i32 {
  return rowBlocks()
}

/** activation(g) × u. scratch: [dim] f32. */
export function gate(a: usize, block: i32, scratch: usize): void {
  const values = load<usize>(a), codes = load<usize>(a, 4), blocks = load<usize>(a, 8), dim = load<i32>(a, 20), gelu = load<i32>(a, 24)
  const bytes = <usize>dim << 2
  const end = min(tokens(), (block + 1) * ROWS)
  for (let t = block * ROWS; t < end; t++) {
    const g = load<usize>(a, 12) + <usize>t * bytes, u = load<usize>(a, 16) + <usize>t * bytes
    const out = values ? values + <usize>t * bytes : scratch
    let i = 0
    for (; i + 4 <= dim; i += 4) {
      const at = <usize>i << 2
      v128.store(out + at, f32x4.mul(activate4(v128.load(g + at), gelu), v128.load(u + at)))
    }
    for (; i < dim; i++) {
      const at = <usize>i << 2
      store<f32>(out + at, f32x4.extract_lane(activate4(v128.load32_splat(g + at), gelu), 0) * load<f32>(u + at))
    }
    if (codes) pack(out, codes + (<usize>t * <usize>dim << 1), blocks + <usize>t * (<usize>dim >> 1), dim)
  }
}
