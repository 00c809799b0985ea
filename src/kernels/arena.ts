import type { Machine } from './machine.ts'

/** Whole cache lines, so that no two tensors share one. */
const alignment = 64
const align = (bytes: number): number => Math.ceil(bytes / alignment) * alignment
/** Grown beyond what is asked for. */
const step = 1 << 20
const megabytes = (bytes: number): string => `${(bytes / 1e6).toFixed(1)} MB`

/** Planned memory: places that can be given back. */
export interface Arena {
  /** The address of `bytes` fresh bytes, zeroed. Throws with code `memory` where they do not fit. */
  take(bytes: number): number
  give(address: number): void
  /** Grows the memory at once for `bytes` more, where it can: growing bit by bit makes engines collect garbage each time. */
  reserve(bytes: number): void
  /** Bytes of the memory, taken or not. */
  size(): number
  /** Bytes taken now. */
  taken(): number
}

/** First fit over a list of free places, ordered by address, neighbours joined. limit: most bytes the memory may have. */
export function createArena(machine: Machine, limit: number): Arena {
  const free: { address: number; bytes: number }[] = []
  const sizes = new Map<number, number>()
  let end = align(machine.start)
  let taken = 0
  /** From here on no byte was ever taken: they are zero as they came. */
  let untouched = end

  function refuse(bytes: number, wanted: number): never {
    throw Object.assign(new RangeError(
      `memory must stay within ${megabytes(limit)}, got ${megabytes(wanted)} with ${megabytes(bytes)} more`), { code: 'memory' })
  }

  function release(address: number, bytes: number): void {
    let i = free.findIndex(place => place.address > address)
    if (i < 0) i = free.length
    free.splice(i, 0, { address, bytes })
    for (const at of [i, i - 1]) {
      const place = free[at], next = free[at + 1]
      if (!place || !next || place.address + place.bytes !== next.address) continue
      place.bytes += next.bytes
      free.splice(at + 1, 1)
    }
    const last = free.at(-1)
    if (last && last.address + last.bytes === end) {
      end = last.address
      free.pop()
    }
  }

  return {
    take(bytes) {
      const want = Math.max(alignment, align(bytes))
      const i = free.findIndex(place => place.bytes >= want)
      let address = end
      const place = free[i]
      if (place) {
        address = place.address
        place.address += want
        place.bytes -= want
        if (!place.bytes) free.splice(i, 1)
      } else {
        if (end + want > limit) refuse(want, end + want)
        if (machine.buffer().byteLength < end + want && !machine.grow(Math.min(limit, end + want + step)) && !machine.grow(end + want)) refuse(want, end + want)
        end += want
      }
      const used = Math.min(want, untouched - address)
      if (used > 0) new Uint8Array(machine.buffer(), address, used).fill(0)
      untouched = Math.max(untouched, address + want)
      sizes.set(address, want)
      taken += want
      return address
    },
    give(address) {
      const bytes = sizes.get(address)
      if (bytes === undefined) throw new RangeError(`address must be one that was taken, got ${address}`)
      sizes.delete(address)
      taken -= bytes
      release(address, bytes)
    },
    reserve(bytes) {
      const wanted = Math.min(limit, end + align(bytes))
      if (machine.buffer().byteLength < wanted) machine.grow(wanted)
    },
    size: () => machine.buffer().byteLength,
    taken: () => taken,
  }
}
