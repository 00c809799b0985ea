import { firstRow, position, tokens } from './registers'

// ropeFrequencies | out | factors | rotary | base |

export function ropeFrequenciesBlocks(a: usize): i32 {
  return 1
}

/** Powers come from AssemblyScript's own f64 routines, so that every engine gives the same bits. */
export function ropeFrequencies(a: usize, block: i32, scratch: usize): void {
  const out = load<usize>(a), factors = load<usize>(a, 4)
  const rotary = load<i32>(a, 8), base = <f64>load<f32>(a, 12)
  for (let i = 0; i < rotary >> 1; i++) {
    const factor: f64 = factors ? <f64>load<f32>(factors + (<usize>i << 2)) : 1
    store<f64>(out + (<usize>i << 3), NativeMath.pow(base, -2.0 * <f64>i / <f64>rotary) / factor)
  }
}

// ropeTable | out | frequencies | rotary | magnitude |

/** Rows of one block of the table: sines in f64 cost about 50 ns each. */
// @ts-ignore: decorator
@inline
const TABLE_ROWS: i32 = 256

export function ropeTableBlocks(a: usize): i32 {
  return (tokens() + TABLE_ROWS - 1) / TABLE_ROWS
}

export function ropeTable(a: usize, block: i32, scratch: usize): void {
  const frequencies = load<usize>(a, 4), half = load<i32>(a, 8) >> 1, magnitude = <f64>load<f32>(a, 12)
  const first = block * TABLE_ROWS, end = min(tokens(), first + TABLE_ROWS)
  let out = load<usize>(a) + (<usize>(firstRow() + first) * <usize>half << 3)
  for (let i = first; i < end; i++) {
    const at = <f64>(position() + i)
    for (let c = 0; c < half; c++, out += 8) {
      const angle = at * load<f64>(frequencies + (<usize>c << 3))
      store<f32>(out, <f32>(NativeMath.cos(angle) * magnitude))
      store<f32>(out, <f32>(NativeMath.sin(angle) * magnitude), 4)
    }
  }
}

// rope | x | table | heads | headDim | rotary | halves |

export function ropeBlocks(a: usize): i32 {
  return (tokens() + 63) >> 6
}

/** Block: 64 tokens. Each product and the difference or sum are rounded on their own. */
export function rope(a: usize, block: i32, scratch: usize): void {
  const heads = load<i32>(a, 8), headDim = load<i32>(a, 12), rotary = load<i32>(a, 16), halves = load<i32>(a, 20)
  const half = rotary >> 1
  const first = block << 6, end = min(tokens(), first + 64)
  for (let i = first; i < end; i++) {
    const table = load<usize>(a, 4) + (<usize>(firstRow() + i) * <usize>half << 3)
    let x = load<usize>(a) + (<usize>(i * heads) * <usize>headDim << 2)
    for (let h = 0; h < heads; h++, x += <usize>headDim << 2) {
      if (halves) rotateHalves(x, table, half)
      else rotateNeighbours(x, table, half)
    }
  }
}

/** Pairs (c, c + half). */
function rotateHalves(x: usize, table: usize, half: i32): void {
  const high = x + (<usize>half << 2)
  let c: i32 = 0
  for (; c + 4 <= half; c += 4) {
    const at = <usize>c << 2
    const t0 = v128.load(table + (at << 1)), t1 = v128.load(table + (at << 1), 16)
    const cos = v128.shuffle<i32>(t0, t1, 0, 2, 4, 6), sin = v128.shuffle<i32>(t0, t1, 1, 3, 5, 7)
    const u = v128.load(x + at), v = v128.load(high + at)
    v128.store(x + at, f32x4.sub(f32x4.mul(u, cos), f32x4.mul(v, sin)))
    v128.store(high + at, f32x4.add(f32x4.mul(u, sin), f32x4.mul(v, cos)))
  }
  for (; c < half; c++) {
    const at = <usize>c << 2
    const cos = load<f32>(table + (at << 1)), sin = load<f32>(table + (at << 1), 4)
    const u = load<f32>(x + at), v = load<f32>(high + at)
    store<f32>(x + at, u * cos - v * sin)
    store<f32>(high + at, u * sin + v * cos)
  }
}

/** Pairs (2c, 2c + 1). */
function rotateNeighbours(x: usize, table: usize, half: i32): void {
  let c: i32 = 0
  for (; c + 4 <= half; c += 4, x += 32, table += 32) {
    const t0 = v128.load(table), t1 = v128.load(table, 16)
    const cos = v128.shuffle<i32>(t0, t1, 0, 2, 4, 6), sin = v128.shuffle<i32>(t0, t1, 1, 3, 5, 7)
    const x0 = v128.load(x), x1 = v128.load(x, 16)
    const u = v128.shuffle<i32>(x0, x1, 0, 2, 4, 6), v = v128.shuffle<i32>(x0, x1, 1, 3, 5, 7)
    const p = f32x4.sub(f32x4.mul(u, cos), f32x4.mul(v, sin)), q = f32x4.add(f32x4.mul(u, sin), f32x4.mul(v, cos))
    v128.store(x, v128.shuffle<i32>(p, q, 0, 4, 1, 5))
    v128.store(x, v128.shuffle<i32>(p, q, 2, 6, 3, 7), 16)
  }
  for (; c < half; c++, x += 8, table += 8) {
    const cos = load<f32>(table), sin = load<f32>(table, 4), u = load<f32>(x), v = load<f32>(x, 4)
    store<f32>(x, u * cos - v * sin)
    store<f32>(x, u * sin + v * cos, 4)
  }
}
