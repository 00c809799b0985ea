import { createArena } from './arena.ts'
import { checkOperands } from './check.ts'
import { registerBytes, registerWords, type Machine, type Registers, type Sharing } from './machine.ts'
import { operations, type OperationName, type Operations } from './operations.ts'
import { scratchBytes } from './scratch.ts'
import { elementBytes, viewAt, type Data, type Tensor, type Type } from './tensor.ts'
import { breathe } from './breathe.ts'

/** Recorded operations; replayed as often as wanted. */
export interface Program { readonly words: Tensor; readonly length: number; readonly operations: number; readonly scratch: number }

/** Every backend implements all of it. Operations are recorded; `run` executes; only `run` and `read` wait. */
export interface Kernels extends Operations {
  readonly name: string
  readonly build: string
  /** Threads that work together. */
  readonly threads: number
  /** How they have shared the work so far. */
  sharing(): Sharing
  /** Fresh zeroed memory. Throws with code `memory` where it does not fit. */
  tensor(shape: readonly number[], type: Type): Tensor
  free(...tensors: (Tensor | null | undefined)[]): void
  /** Grows the memory at once for `bytes` more, where it can. */
  reserve(bytes: number): void
  /** Copies data into a tensor, from element `at` on. */
  upload(to: Tensor, data: ArrayLike<number> | Data, at?: number): void
  /** Copies bytes between tensors. */
  copy(to: Tensor, toByte: number, from: Tensor, fromByte: number, bytes: number): void
  /** The tensor's numbers in place, to be filled by a loader. Invalid after the next `tensor` call. */
  view(t: Tensor): Data
  /** A copy of elements [at, at + length). */
  read(t: Tensor, at?: number, length?: number): Promise<Data>
  /** The operations called inside `body` become a program. */
  record(body: () => void): Program
  /** Runs a program; lets the event loop turn at least every 50 ms, and throws the signal's reason there. */
  run(program: Program, registers: Registers, signal?: AbortSignal): Promise<void>
  /** Records, runs once and forgets. */
  once(registers: Registers, body: () => void): Promise<void>
  release(program: Program | null | undefined): void
  /** Ends the backend's threads; nothing runs after it. */
  close(): void
  /** Bytes of memory the backend has, and of those in use. */
  memory(): { readonly bytes: number; readonly used: number; readonly peak: number }
}

/** Between looks at the clock: 60 million multiply-adds, 2 to 10 ms of work. */
const budget = 60_000
const product = (shape: readonly number[]): number => shape.reduce((a, b) => a * b, 1)

/** Kernels over a machine with a linear memory. limit: most bytes it may take. */
export function createKernels(machine: Machine, limit = 2 ** 32 - 65536): Kernels {
  const arena = createArena(machine, limit)
  const registers = arena.take(registerBytes(machine.threads))
  let scratch = { address: 0, bytes: 0 }
  let recording: { words: number[]; operations: number; scratch: number } | null = null
  let peak = 0
  let running: Promise<void> = Promise.resolve()
  let closed = false
  const bits = new DataView(new ArrayBuffer(4))

  function float(x: number): number {
    bits.setFloat32(0, x)
    return bits.getUint32(0)
  }

  function emit(name: OperationName, operands: Record<string, Tensor | number | null>): void {
    if (!recording) throw new TypeError(`${name}: operations are called inside record, got a call outside`)
    checkOperands(name, operands)
    const fields = Object.entries(operations[name])
    recording.words.push(machine.opcode(name), fields.length + 2)
    for (const [field, kind] of fields) {
      const value = operands[field]
      if (kind.startsWith('f')) recording.words.push(float(value as number ?? 0))
      else recording.words.push(typeof value === 'number' ? value >>> 0 : value?.address ?? 0)
    }
    recording.operations++
    recording.scratch = Math.max(recording.scratch, scratchBytes(name, operands))
  }

  const methods = Object.fromEntries(Object.keys(operations).map(name =>
    [name, (operands: Record<string, Tensor | number | null>) => emit(name as OperationName, operands)])) as unknown as Operations

  function take(bytes: number): number {
    const address = arena.take(bytes)
    peak = Math.max(peak, arena.size())
    return address
  }

  async function walk(program: Program, { tokens, position, row = 0 }: Registers, signal?: AbortSignal): Promise<void> {
    if (closed) throw new TypeError('kernels: they must be open, got ones that were closed with their model')
    // Programs that end within their first piece of work, as many a decode step, let the event loop turn here.
    await breathe(signal)
    if (program.scratch > scratch.bytes) {
      const old = scratch
      scratch = { address: 0, bytes: 0 }
      if (old.bytes) arena.give(old.address)
      const bytes = Math.ceil(program.scratch / 64) * 64
      scratch = { address: take(bytes * machine.threads), bytes }
    }
    const words = new Uint32Array(machine.buffer(), registers, registerBytes(machine.threads) / 4)
    words[registerWords.scratch] = scratch.address
    words[registerWords.scratchBytes] = scratch.bytes
    words[registerWords.pc] = program.words.address
    words[registerWords.end] = program.words.address + program.length * 4
    words[registerWords.block] = 0
    words[registerWords.tokens] = tokens
    words[registerWords.position] = position
    words[registerWords.row] = row
    signal?.throwIfAborted()
    while (!machine.run(registers, budget)) await breathe(signal)
  }

  const kernels: Kernels = {
    ...methods,
    name: machine.name,
    build: machine.build,
    threads: machine.threads,
    sharing: () => machine.sharing(),
    tensor(shape, type) {
      const bytes = product(shape) * elementBytes(type)
      if (!Number.isSafeInteger(bytes)) throw new RangeError(`tensor: shape must be whole numbers, got [${shape}]`)
      return { shape, type, address: take(bytes), bytes }
    },
    free(...tensors) {
      for (const t of tensors) if (t) arena.give(t.address)
    },
    reserve: bytes => arena.reserve(bytes),
    upload(to, data, at = 0) {
      const size = elementBytes(to.type)
      if ((at + data.length) * size > to.bytes)
        throw new RangeError(`upload: data must fit ${to.bytes / size} elements, got ${at} + ${data.length}`)
      viewAt(machine.buffer(), to.type, to.address + at * size, data.length).set(data)
    },
    copy(to, toByte, from, fromByte, bytes) {
      if (toByte + bytes > to.bytes || fromByte + bytes > from.bytes)
        throw new RangeError(`copy: ${bytes} bytes must fit both tensors, got room for ${to.bytes - toByte} and ${from.bytes - fromByte}`)
      new Uint8Array(machine.buffer()).copyWithin(to.address + toByte, from.address + fromByte, from.address + fromByte + bytes)
    },
    view: t => viewAt(machine.buffer(), t.type, t.address, t.bytes / elementBytes(t.type)),
    async read(t, at = 0, length = t.bytes / elementBytes(t.type) - at) {
      return viewAt(machine.buffer(), t.type, t.address + at * elementBytes(t.type), length).slice()
    },
    record(body) {
      if (recording) throw new TypeError('record: must not be called inside record')
      recording = { words: [], operations: 0, scratch: 0 }
      try {
        body()
        const { words, operations, scratch } = recording
        const tensor = kernels.tensor([Math.max(1, words.length)], 'u32')
        kernels.upload(tensor, words)
        return { words: tensor, length: words.length, operations, scratch }
      } finally {
        recording = null
      }
    },
    async run(program, values, signal) {
      // One program at a time: registers and scratch are the machine's own, and a run lets others in while it breathes.
      const before = running
      let done = (): void => {}
      running = new Promise<void>(resolve => { done = resolve })
      try {
        await before
        await walk(program, values, signal)
      } finally {
        done()
      }
    },
    async once(values, body) {
      const program = kernels.record(body)
      try {
        await kernels.run(program, values)
      } finally {
        kernels.release(program)
      }
    },
    release(program) {
      if (program) arena.give(program.words.address)
    },
    close() {
      closed = true
      machine.close()
    },
    memory: () => ({ bytes: arena.size(), used: arena.taken(), peak: Math.max(peak, arena.size()) }),
  }
  return kernels
}
