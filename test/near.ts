/** Fails, with place and both numbers, at the first element that differs by more than `tolerance` × max(1, |expected|). */
export function near(actual: ArrayLike<number>, expected: ArrayLike<number>, tolerance: number, what: string): void {
  if (actual.length !== expected.length) throw new Error(`${what}: length is ${actual.length}, expected ${expected.length}`)
  for (let i = 0; i < actual.length; i++) {
    const a = actual[i]!, e = expected[i]!
    if (Object.is(a, e) || a === e) continue
    const gap = Math.abs(a - e), most = tolerance * Math.max(1, Math.abs(e))
    if (!(gap <= most)) throw new Error(`${what}: [${i}] is ${a}, expected ${e}, gap ${gap} > ${most}`)
  }
}
