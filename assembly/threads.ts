import { executeAt } from './program'
import { bind } from './registers'

// One operation's blocks, shared out. The ticket holds the operation's number (high half) and how many of its blocks nobody has
// taken yet (low half). Whoever lowers it owns blocks, and the operation cannot end before they are done: so what the ticket's
// owner reads of the operation is still true. Which thread runs which block changes no bit: blocks write their own places.
//
// Behind the registers every thread has a line of 64 bytes where it counts, since the start:
//   0 looks while it waited i64 · 8 milliseconds asleep f64 · 16 operations shared out (thread 0)

/** Looks before a thread goes to sleep: about 60 µs, longer than operations that run on one thread take. */
// @ts-ignore: decorator
@inline
const LOOKS: i32 = 80_000
/** An eighth of the blocks that are left are taken at once: few tickets where blocks are many and small, and the last ones one by one. */
// @ts-ignore: decorator
@inline
const PART: i32 = 3

// @ts-ignore: decorator
@inline
function lineOf(registers: usize, thread: i32): usize {
  return registers + 192 + (<usize>thread << 6)
}

/** Looks at an i32 as long as it is zero, or as long as it is not, at most `most` times. Returns how often. Not inlined: engines make fast what is called again. */
export function look(at: usize, zero: bool, most: i32): i32 {
  if (!ASC_FEATURE_THREADS) return 0
  let looks = 0
  while (looks < most && (atomic.load<i32>(at) == 0) == zero) looks++
  return looks
}

/** Takes and runs blocks of the operation at hand until none is left. thread: 0 is the main one. */
function takeBlocks(registers: usize, thread: i32): void {
  while (true) {
    const ticket = atomic.load<i64>(registers, 64)
    const left = <i32>ticket
    if (left <= 0) return
    const many = max(1, left >> PART)
    if (atomic.cmpxchg<i64>(registers, ticket, ticket - many, 64) != ticket) continue
    const scratch = load<usize>(registers, 24) + <usize>thread * load<usize>(registers, 28)
    const pc = load<usize>(registers, 72), last = load<i32>(registers, 76) + left - 1
    for (let i = 0; i < many; i++) executeAt(pc, last - i, scratch)
    atomic.sub<i32>(registers, many, 128)
  }
}

/** Runs `many` blocks of the operation at `pc` from `first` on, with whoever helps; returns when all are done. */
export function share(registers: usize, pc: usize, first: i32, many: i32): void {
  store<usize>(registers, pc, 72)
  store<i32>(registers, first, 76)
  atomic.store<i32>(registers, many, 128)
  const number = (atomic.load<i64>(registers, 64) >> 32) + 1
  atomic.store<i64>(registers, number << 32 | <i64>many, 64)
  if (atomic.load<i32>(registers, 80)) atomic.notify(registers + 68, -1)
  takeBlocks(registers, 0)
  // The main thread of a page must not sleep, and the others are at their last block.
  let looks: i64 = 0
  while (atomic.load<i32>(registers, 128)) looks += look(registers + 128, false, LOOKS)
  const line = lineOf(registers, 0)
  store<i64>(line, load<i64>(line) + looks)
  store<i32>(line, load<i32>(line, 16) + 1, 16)
}

/**
 * What a helping thread does, from 1 on, until it is over or has found nothing to do for so long that it should sleep. Returns the number
 * of the operation it has seen the end of: src/wasm/workers.ts sleeps until there is a newer one.
 */
export function help(registers: usize, thread: i32): i32 {
  if (!ASC_FEATURE_THREADS) return 0
  bind(registers)
  const line = lineOf(registers, thread)
  while (true) {
    const ticket = atomic.load<i64>(registers, 64)
    if (<i32>ticket > 0) {
      takeBlocks(registers, thread)
      continue
    }
    const looks = look(registers + 64, true, LOOKS)
    store<i64>(line, load<i64>(line) + looks)
    if (looks == LOOKS || atomic.load<i32>(registers, 84)) return <i32>(ticket >> 32)
  }
}

/** Sends the helping threads home. */
export function end(registers: usize): void {
  if (!ASC_FEATURE_THREADS) return
  atomic.store<i32>(registers, 1, 84)
  atomic.add<i64>(registers, 1 << 32, 64)
  atomic.notify(registers + 68, -1)
}
