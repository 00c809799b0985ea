import type { OperationName } from './operations.ts'

/**
 * What a backend over a linear memory is to the recorder (src/kernels/kernels.ts): bytes, and something that walks a
 * program in them. A program is a row of operations | opcode | words in all | operands … |, each part 32 bits.
 */
export interface Machine {
  /** `wasm`, `reference`. */
  readonly name: string
  /** Which build of it runs: `simd`; the name again where there is one only. */
  readonly build: string
  /** First byte that is free for the host. */
  readonly start: number
  buffer(): ArrayBufferLike
  /** Makes the memory at least this long; false where it cannot be. */
  grow(bytes: number): boolean
  opcode(name: OperationName): number
  /**
   * Goes on from where the registers stand (see `registerWords`) until the program's end, then true, or until about
   * `budget` thousand multiply-adds are done.
   */
  run(registers: number, budget: number): boolean
  /** Threads that walk a program together; each has scratch memory of its own. */
  readonly threads: number
  /** See `Sharing`. */
  sharing(): Sharing
  /** Ends the other threads. */
  close(): void
}

/** Registers, u32 each: where the program stands, then what the caller sets before a run. */
export const registerWords = { pc: 0, end: 1, block: 2, tokens: 3, position: 4, row: 5, scratch: 6, scratchBytes: 7 } as const
/** Where, behind the registers, each thread has a line of 64 bytes. */
export const threadLines = 192
/** The registers proper with what threads share (assembly/registers.ts), then for each thread what it counts (assembly/threads.ts). */
export const registerBytes = (threads: number): number => threadLines + 64 * threads

/** How threads have shared the work since the start. */
export interface Sharing {
  /** Operations of which every thread took blocks: at the end of each all wait for the last. */
  readonly barriers: number
  /** Milliseconds each thread waited, thread 0 at barriers, the others for work too. About: awake, looks are counted and not time. */
  readonly waited: readonly number[]
}

/** Each thread has scratch memory of its own; no processor that runs this has more cores to give. */
const mostThreads = 64

export function checkThreads(threads: number): void {
  if (!(Number.isInteger(threads) && threads >= 1 && threads <= mostThreads))
    throw Object.assign(new RangeError(`threads must be a whole number from 1 to ${mostThreads}, got ${threads}`), { code: 'usage' })
}

/** What one thread alone has to say of it. */
export const alone: Sharing = { barriers: 0, waited: [0] }

/** Where the registers lie: the first whole cache line that is free. */
export const registersOf = (machine: Pick<Machine, 'start'>): number => Math.ceil(machine.start / 64) * 64

/** The registers T, P and R of `operations`. */
export interface Registers { readonly tokens: number; readonly position: number; readonly row?: number }
