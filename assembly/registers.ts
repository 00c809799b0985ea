// What changes between runs of a program, in memory that the host plans (src/kernels/machine.ts):
//   0 pc · 4 end · 8 block · 12 tokens · 16 position · 20 row · 24 scratch · 28 scratch bytes of one thread
// and what threads share while an operation runs (assembly/threads.ts), apart from what all of them read all the time:
//   64 ticket i64 · 72 operation · 76 first block · 80 threads asleep · 84 over, and a line further 128 blocks not done
// and from 192 on a line of 64 bytes for each thread.

let registers: usize = 0
let cost: i32 = 1

/** Where the registers of the program that runs now lie. */
export function bind(at: usize): void {
  registers = at
}

/** T: rows in this batch. */
// @ts-ignore: decorator
@inline
export function tokens(): i32 {
  return load<i32>(registers, 12)
}

/** P: position of the batch's first row. */
// @ts-ignore: decorator
@inline
export function position(): i32 {
  return load<i32>(registers, 16)
}

/** R: the batch's first row in tensors of the whole prompt. */
// @ts-ignore: decorator
@inline
export function firstRow(): i32 {
  return load<i32>(registers, 20)
}

/** What one block of the current operation costs, in thousands of multiply-adds. */
export function setCost(thousands: i32): void {
  cost = max(1, thousands)
}

// @ts-ignore: decorator
@inline
export function blockCost(): i32 {
  return cost
}
