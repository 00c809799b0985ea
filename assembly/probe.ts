import { dotBytes } from './simd'

// What the relaxed build stands on, to be run before it is trusted: src/wasm/choose.ts compares. Also a module of its own.

/** sums [n, 4] i32 += products of a [n, 4, 4] signed bytes with b [n, 4, 4] bytes of 7 bits, four to a sum. */
export function dots(sums: usize, a: usize, b: usize, n: i32): void {
  for (; n > 0; n--, sums += 16, a += 16, b += 16)
    v128.store(sums, dotBytes(v128.load(sums), v128.load(a), v128.load(b)))
}
