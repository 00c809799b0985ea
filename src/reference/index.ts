import { createKernels, type Kernels } from '../kernels/kernels.ts'
import { alone, registerWords, type Machine } from '../kernels/machine.ts'
import { operations, type OperationName, type Words } from '../kernels/operations.ts'
import { activation } from './activation.ts'
import { attend } from './attend.ts'
import { bounds } from './bounds.ts'
import { embed } from './embed.ts'
import { matmul } from './matmul.ts'
import { stateOf, viewsOf, type Memory, type State } from './memory.ts'
import { page } from './page.ts'
import { pool } from './pool.ts'
import { rope } from './rope.ts'
import { rows } from './rows.ts'
import { sample } from './sample.ts'
import { topk } from './topk.ts'
import { topPages } from './topPages.ts'
import { values } from './values.ts'
import { window } from './window.ts'

/** The meaning of an operation: plain loops over memory, sums in f64, results rounded once where they are stored. */
export type Reference<N extends OperationName> = (m: Memory, operands: Words<N>, state: State) => void

const meanings: { readonly [N in OperationName]: Reference<N> } = {
  ...activation, ...attend, ...bounds, ...embed, ...matmul, ...page, ...pool, ...rope, ...rows, ...sample, ...topk, ...topPages, ...values, ...window,
}

const names = Object.keys(operations) as OperationName[]

function machine(): Machine {
  let buffer = new ArrayBuffer(1 << 20)
  let m = viewsOf(buffer)

  function step(pc: number, state: State): number {
    const name = names[m.u32[pc / 4]! - 1]!
    const words: Record<string, number> = {}
    Object.entries(operations[name]).forEach(([field, kind], i) => {
      const at = pc / 4 + 2 + i
      words[field] = kind.startsWith('f') ? m.f32[at]! : kind.startsWith('i') ? m.i32[at]! : m.u32[at]!
    })
    ;(meanings[name] as Reference<OperationName>)(m, words as Words<OperationName>, state)
    return pc + m.u32[pc / 4 + 1]! * 4
  }

  return {
    name: 'reference', build: 'reference', start: 64,
    buffer: () => buffer,
    grow(bytes) {
      const next = new ArrayBuffer(Math.max(bytes, buffer.byteLength * 2))
      new Uint8Array(next).set(new Uint8Array(buffer))
      buffer = next
      m = viewsOf(buffer)
      return true
    },
    opcode: name => names.indexOf(name) + 1,
    threads: 1,
    sharing: () => alone,
    close() {},
    run(registers, budget) {
      const at = registers / 4, state = stateOf(m, registers)
      // One operation a call: plain loops are slow, and the caller wants to breathe.
      for (let left = budget > 0 ? 1 : 0; left && m.u32[at + registerWords.pc]! < m.u32[at + registerWords.end]!; left--)
        m.u32[at + registerWords.pc] = step(m.u32[at + registerWords.pc]!, state)
      return m.u32[at + registerWords.pc]! >= m.u32[at + registerWords.end]!
    },
  }
}

/** Plain TypeScript, no wasm, no GPU: the meaning of every operation. limit: most bytes of memory. */
export const reference = (options: { readonly limit?: number } = {}): Kernels => createKernels(machine(), options.limit)
