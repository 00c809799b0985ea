// What changes between runs of a program, in memory that the host plans (src/kernels/machine.ts):
//   0 pc · 4 end · 8 block · 12 tokens · 16 position · 20 row · 24 scratch · 28 scratch bytes of one thread
// and what threads share while an operation runs (assembly/threads.ts):
//   32 ticket i64 · 40 operation · 44 first block · 48 blocks not done · 52 threads asleep · 56 over

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
