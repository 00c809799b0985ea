import { createKernels } from '../../src/kernels/kernels.ts'
import { alone } from '../../src/kernels/machine.ts'
import type { Kernels, OperationName } from '../../src/kernels/index.ts'
import { bytes } from '../../src/wasm/builds/simd.ts'

/** The wasm kernels, stopped whenever about `budget` thousand multiply-adds are done. calls: how often they were entered. */
export async function stopping(budget: number): Promise<{ readonly k: Kernels; calls(): number }> {
  const memory = new WebAssembly.Memory({ initial: 64, maximum: 64 })
  const { instance } = await WebAssembly.instantiate(Uint8Array.from(atob(bytes), c => c.charCodeAt(0)), { env: { memory } })
  const value = (name: string): number => (instance.exports[name] as WebAssembly.Global).value as number
  const run = instance.exports['run'] as (registers: number, threads: number, budget: number) => number
  let calls = 0
  const k = createKernels({
    name: 'wasm', build: 'simd', start: value('heapBase'),
    buffer: () => memory.buffer,
    grow: () => false,
    opcode: (name: OperationName) => value(name),
    threads: 1, sharing: () => alone,
    close() {},
    run(registers) {
      calls++
      return run(registers, 1, budget) === 1
    },
  })
  return { k, calls: () => calls }
}
