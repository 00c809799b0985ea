const value = new Float32Array(1), word = new Uint32Array(value.buffer)

/** The nearest f16 of an f32, ties to even, as its 16 bits. */
export function toHalf(x: number): number {
  value[0] = x
  const bits = word[0]!, sign = bits >>> 16 & 0x8000, size = bits & 0x7fffffff
  if (size > 0x7f800000) return sign | 0x7e00 | size >>> 13 & 0x3ff
  if (size >= 0x477ff000) return sign | 0x7c00 // 65520 and above are nearer to infinity
  if (size < 0x38800000) { // below 2^-14, where an f16 counts in steps of 2^-24
    const steps = Math.abs(value[0]!) * 2 ** 24, whole = Math.floor(steps), rest = steps - whole
    return sign | whole + (rest > 0.5 || rest === 0.5 && whole % 2 === 1 ? 1 : 0)
  }
  return sign | size - 0x38000000 + 0xfff + (size >>> 13 & 1) >>> 13
}
