// Choosing the m largest of n f32. Numbers become i32 keys of the same order; the key of the m-th largest is found by
// halving the range of keys and counting, at most 32 passes of one compare a lane, none of which depends on the order.

/** The key of what must never be chosen, and of NaN. */
// @ts-ignore: decorator
@inline
const LOWEST: i32 = i32.MIN_VALUE

/** Bytes of the keys of n numbers, whole groups of 16. */
// @ts-ignore: decorator
@inline
export function keyBytes(n: i32): usize {
  return <usize>((n + 15) & ~15) << 2
}

/** Four keys. −0 counts as 0, NaN as the lowest. */
// @ts-ignore: decorator
@inline
function key4(x: v128): v128 {
  const number = f32x4.eq(x, x)
  x = f32x4.add(x, f32x4.splat(0))
  const key = v128.xor(x, i32x4.shr_u(i32x4.shr_s(x, 31), 1))
  return v128.bitselect(key, i32x4.splat(LOWEST), number)
}

/** Keys of n f32 at x, filled up with the lowest to `keyBytes`. x: any alignment; may be where the keys go. */
export function makeKeys(x: usize, keys: usize, n: i32): void {
  let i = 0
  for (; i + 4 <= n; i += 4) v128.store(keys + (<usize>i << 2), key4(v128.load(x + (<usize>i << 2))))
  for (; i < n; i++) store<i32>(keys + (<usize>i << 2), i32x4.extract_lane(key4(v128.load32_splat(x + (<usize>i << 2))), 0))
  for (const end = (n + 15) & ~15; i < end; i++) store<i32>(keys + (<usize>i << 2), LOWEST)
}

/** The number at place i is never chosen while others are left. */
export function removeKey(keys: usize, i: i32): void {
  store<i32>(keys + (<usize>i << 2), LOWEST)
}

/** How many of n keys are at least t. t above the lowest. */
export function countFrom(keys: usize, n: i32, t: i32): i32 {
  const least = i32x4.splat(t)
  let c0 = i32x4.splat(0), c1 = c0, c2 = c0, c3 = c0
  for (const end = keys + keyBytes(n); keys < end; keys += 64) {
    c0 = i32x4.sub(c0, i32x4.ge_s(v128.load(keys), least))
    c1 = i32x4.sub(c1, i32x4.ge_s(v128.load(keys, 16), least))
    c2 = i32x4.sub(c2, i32x4.ge_s(v128.load(keys, 32), least))
    c3 = i32x4.sub(c3, i32x4.ge_s(v128.load(keys, 48), least))
  }
  c0 = i32x4.add(i32x4.add(c0, c1), i32x4.add(c2, c3))
  return i32x4.extract_lane(c0, 0) + i32x4.extract_lane(c0, 1) + i32x4.extract_lane(c0, 2) + i32x4.extract_lane(c0, 3)
}

/** A bound t with: fewer than m keys above t, at least m from t on; 1 ≤ m ≤ n. */
function cut(keys: usize, n: i32, m: i32): i32 {
  let least = i32x4.splat(i32.MAX_VALUE), most = i32x4.splat(LOWEST)
  let i = 0
  for (; i + 4 <= n; i += 4) {
    const v = v128.load(keys + (<usize>i << 2))
    least = i32x4.min_s(least, v)
    most = i32x4.max_s(most, v)
  }
  for (; i < n; i++) {
    const v = v128.load32_splat(keys + (<usize>i << 2))
    least = i32x4.min_s(least, v)
    most = i32x4.max_s(most, v)
  }
  let low = min(min(i32x4.extract_lane(least, 0), i32x4.extract_lane(least, 1)), min(i32x4.extract_lane(least, 2), i32x4.extract_lane(least, 3)))
  // One above the largest: keys end with +∞ at 0x7f800000.
  let high = max(max(i32x4.extract_lane(most, 0), i32x4.extract_lane(most, 1)), max(i32x4.extract_lane(most, 2), i32x4.extract_lane(most, 3))) + 1
  // At least m keys from `low` on, fewer than m from `high` on. The difference may need 32 bits.
  while (<u32>(high - low) > 1) {
    const middle = low + <i32>(<u32>(high - low) >> 1)
    const c = countFrom(keys, n, middle)
    if (c == m) return middle
    if (c > m) low = middle
    else high = middle
  }
  return low
}

/** Writes base + the places of the m largest keys as u32, ascending; ties keep the earlier. m at most n. */
export function writeLargest(keys: usize, n: i32, m: i32, base: i32, rows: usize): void {
  if (m <= 0) return
  const t = cut(keys, n, m)
  const from = i32x4.splat(t)
  let ties = m - countFrom(keys, n, t + 1)
  for (let i = 0; i < n; i += 4) {
    let mask = i32x4.bitmask(i32x4.ge_s(v128.load(keys + (<usize>i << 2)), from))
    for (; mask; mask &= mask - 1) {
      const at = i + ctz(mask)
      if (load<i32>(keys + (<usize>at << 2)) == t && ties-- <= 0) continue
      store<i32>(rows, base + at)
      rows += 4
    }
  }
}

/** Writes from, from + 1, … as n u32; returns the place behind them. */
export function writeRange(rows: usize, from: i32, n: i32): usize {
  for (let i = 0; i < n; i++, rows += 4) store<i32>(rows, from + i)
  return rows
}
