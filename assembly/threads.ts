import { execute } from './program'
import { bind } from './registers'

// One operation's blocks, shared out. The ticket holds the operation's number (high half) and how many of its blocks nobody has
// taken yet (low half). Whoever lowers it by one owns a block, and the operation cannot end before that block is done: so what the
// ticket's owner reads of the operation is still true. Which thread runs which block changes no bit: blocks write their own places.

/** Looks at the ticket before a thread goes to sleep: about 50 µs, longer than operations that run on one thread take. */
// @ts-ignore: decorator
@inline
const LOOKS: i32 = 20_000

/** Takes and runs blocks of the operation at hand until none is left. thread: 0 is the main one. */
function takeBlocks(registers: usize, thread: i32): void {
  while (true) {
    const ticket = atomic.load<i64>(registers, 32)
    const left = <i32>ticket
    if (left <= 0) return
    if (atomic.cmpxchg<i64>(registers, ticket, ticket - 1, 32) != ticket) continue
    const pc = load<usize>(registers, 40)
    const scratch = load<usize>(registers, 24) + <usize>thread * load<usize>(registers, 28)
    execute(load<i32>(pc), pc + 8, load<i32>(registers, 44) + left - 1, scratch)
    atomic.add<i32>(registers, 1, 48)
  }
}

/** Runs `many` blocks of the operation at `pc` from `first` on, with whoever helps; returns when all are done. */
export function share(registers: usize, pc: usize, first: i32, many: i32): void {
  store<usize>(registers, pc, 40)
  store<i32>(registers, first, 44)
  atomic.store<i32>(registers, 0, 48)
  const number = (atomic.load<i64>(registers, 32) >> 32) + 1
  atomic.store<i64>(registers, number << 32 | <i64>many, 32)
  if (atomic.load<i32>(registers, 52)) atomic.notify(registers + 36, -1)
  takeBlocks(registers, 0)
  // The main thread of a page must not sleep, and the others are at their last block.
  while (atomic.load<i32>(registers, 48) < many) {}
}

/** What a helping thread does, from 1 on, until it is over. */
export function help(registers: usize, thread: i32): void {
  if (!ASC_FEATURE_THREADS) return
  bind(registers)
  let looks = 0
  while (true) {
    const ticket = atomic.load<i64>(registers, 32)
    if (atomic.load<i32>(registers, 56)) return
    if (<i32>ticket > 0) {
      takeBlocks(registers, thread)
      looks = 0
      continue
    }
    if (++looks < LOOKS) continue
    atomic.add<i32>(registers, 1, 52)
    atomic.wait<i32>(registers + 36, <i32>(ticket >> 32), -1)
    atomic.sub<i32>(registers, 1, 52)
    looks = 0
  }
}

/** Sends the helping threads home. */
export function end(registers: usize): void {
  if (!ASC_FEATURE_THREADS) return
  atomic.store<i32>(registers, 1, 56)
  atomic.add<i64>(registers, 1 << 32, 32)
  atomic.notify(registers + 36, -1)
}
