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
   * `budget` thousand multiply-adds are done. scratch: memory for the operations' own use.
   */
  run(registers: number, scratch: number, budget: number): boolean
}

/** Registers, u32 each: where the program stands, then what the caller sets before a run. */
export const registerWords = { pc: 0, end: 1, block: 2, tokens: 3, position: 4, row: 5 } as const
export const registerBytes = 32

/** The registers T, P and R of `operations`. */
export interface Registers { readonly tokens: number; readonly position: number; readonly row?: number }
