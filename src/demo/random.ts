/** Draws that depend on a seed alone, the same in every engine. */
export interface Generator {
  /** A number in [0, 1), a multiple of 2⁻³². */
  real(): number
  /** A whole number from `low` to `high`, both included. */
  int(low: number, high: number): number
  choice<T>(list: readonly T[]): T
  /** `count` different places of `list`, in random order. */
  sample<T>(list: readonly T[], count: number): T[]
  /** In place. */
  shuffle<T>(list: T[]): void
}

const states = 2 ** 32
const goldenGamma = 0x9e3779b9 // 2³² divided by the golden ratio, odd, so that all 2³² states are visited

/** MurmurHash3's 32-bit finaliser (Austin Appleby, public domain): every input bit reaches every output bit. */
function mix(x: number): number {
  x = Math.imul(x ^ (x >>> 16), 0x85ebca6b)
  x = Math.imul(x ^ (x >>> 13), 0xc2b2ae35)
  return (x ^ (x >>> 16)) >>> 0
}

/**
 * SplitMix with 32 bits of state (Steele, Lea, Flood: Fast splittable pseudorandom number generators, OOPSLA 2014):
 * a counter in steps of the golden gamma, each value mixed. The seed is mixed too, so that neighbouring
 * seeds start far apart. Not for secrets.
 */
export function generator(seed: number): Generator {
  if (!Number.isInteger(seed) || seed < 0 || seed >= states)
    throw new RangeError(`generator: seed must be a whole number from 0 to ${states - 1}, got ${seed}`)
  let state = mix(seed)
  const real = () => mix(state = (state + goldenGamma) >>> 0) / states
  const int = (low: number, high: number) => low + Math.floor(real() * (high - low + 1))

  /** Moves a random choice of `count` entries to the front (Fisher and Yates). */
  function deal<T>(list: T[], count: number): void {
    for (let i = 0; i < count; i++) {
      const j = int(i, list.length - 1)
      const held = list[i] as T
      list[i] = list[j] as T
      list[j] = held
    }
  }

  return {
    real,
    int,
    choice<T>(list: readonly T[]): T {
      if (!list.length) throw new RangeError('choice: list must hold at least 1 entry, got 0')
      return list[int(0, list.length - 1)] as T
    },
    sample<T>(list: readonly T[], count: number): T[] {
      if (count > list.length) throw new RangeError(`sample: count must be at most ${list.length}, got ${count}`)
      const copy = [...list]
      deal(copy, count)
      return copy.slice(0, count)
    },
    shuffle<T>(list: T[]): void {
      deal(list, list.length)
    }
  }
}
