/** Rows (and ranges) whose largest value is smaller count as zeros (src/kernels/rows.ts). */
export const smallestRow = 2 ** -116

/** Nearest whole number, ties to even. */
export function nearest(x: number): number {
  const floor = Math.floor(x), rest = x - floor
  if (rest !== 0.5) return Math.round(x)
  return floor % 2 === 0 ? floor : floor + 1
}
