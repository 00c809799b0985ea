import { instantiate } from '@assemblyscript/loader'
import { createKernels, type Kernels } from '../kernels/kernels.ts'
import { alone, checkThreads, registersOf, type Machine, type Sharing } from '../kernels/machine.ts'
import { builds, choose, compile, refuseRelaxed, wrongSum, type Build, type Dots } from './choose.ts'
import { sharingOf } from './sharing.ts'
import { startThreads, threadsHere } from './workers.ts'

export { builds, choose, type Build } from './choose.ts'

export interface WasmOptions {
  /** Force a build; by default the best that works here. Of a given `module` it must be the build, which `Kernels.build` tells. */
  readonly build?: Build
  /** Most bytes of memory, weights included; at most 4 GiB − 64 KiB. */
  readonly limit?: number
  /** Threads that work together, this one included; where memory cannot be shared, or `module` is given, it is one all the same. */
  readonly threads?: number
  /** The compiled kernels, simd or relaxed, where the runtime forbids compiling bytes (edge workers). */
  readonly module?: WebAssembly.Module
}

const pageBytes = 65536
const mostPages = 65535 // the last page stays out, so that every end fits 32 bits

interface Exports {
  readonly heapBase: WebAssembly.Global
  /** 1 in the relaxed build. */
  readonly relaxed?: WebAssembly.Global
  readonly dots: Dots
  run(registers: number, threads: number, budget: number): number
  end(registers: number): void
  look(at: number, zero: number, most: number): number
  readonly [operation: string]: unknown
}

function reserve(shared: boolean, limit = mostPages * pageBytes): WebAssembly.Memory {
  try {
    return new WebAssembly.Memory({ initial: 1, maximum: Math.max(1, Math.min(mostPages, Math.ceil(limit / pageBytes))), shared })
  } catch (cause) {
    throw Object.assign(new RangeError(`memory must have ${mostPages * pageBytes} bytes of addresses for WebAssembly, got fewer`, { cause }), { code: 'memory' })
  }
}

/** Refuses a given module that is not the build that was asked for, or whose dots are wrong here. */
function checkGiven({ dots, heapBase }: Exports, memory: WebAssembly.Memory, build: Build, forced?: Build): void {
  if (forced !== undefined && forced !== build) throw Object.assign(new RangeError(`build must be ${build} as the given module is, got ${forced}`), { code: 'usage' })
  const wrong = build === 'relaxed' ? wrongSum(dots, memory, heapBase.value as number) : undefined
  if (wrong !== undefined) throw refuseRelaxed(wrong)
}

/** Kernels in WebAssembly SIMD. Throws with code `backend` where they cannot start. */
export async function wasm({ build: forced, limit, threads: wanted = 1, module: given }: WasmOptions = {}): Promise<Kernels> {
  if (forced !== undefined && !builds.includes(forced)) throw Object.assign(new RangeError(`build must be one of ${builds.join(', ')}, got ${forced}`), { code: 'usage' })
  checkThreads(wanted)
  const chosen = given ? null : await choose(forced)
  const threads = given ? 1 : threadsHere(wanted)
  const memory = reserve(threads > 1, limit)
  let module: WebAssembly.Module, exports: Exports
  try {
    module = given ?? await compile(`${chosen!}${threads > 1 ? '-threads' : ''}`)
    exports = (await instantiate<Record<string, unknown>>(module, { env: { memory } })).exports as unknown as Exports
  } catch (cause) {
    throw Object.assign(new Error(`backend wasm must start with WebAssembly SIMD, got ${cause instanceof Error ? cause.message : cause}`, { cause }), { code: 'backend' })
  }
  const build = exports.relaxed?.value ? 'relaxed' : 'simd'
  if (given) checkGiven(exports, memory, build, forced)
  const number = (name: string): number => {
    const global = exports[name]
    if (!(global instanceof WebAssembly.Global)) throw new TypeError(`${name} must be an operation of the ${build} build, got none`)
    return global.value as number
  }
  const opcodes = new Map<string, number>()
  let stop = (): void => {}, sharing = (): Sharing => alone
  const machine: Machine = {
    name: 'wasm', build, start: number('heapBase'), threads,
    buffer: () => memory.buffer,
    grow(bytes) {
      const pages = Math.ceil(bytes / pageBytes) - memory.buffer.byteLength / pageBytes
      try {
        if (pages > 0) memory.grow(pages)
        return true
      } catch {
        return false
      }
    },
    opcode(name) {
      let code = opcodes.get(name)
      if (code === undefined) opcodes.set(name, code = number(name))
      return code
    },
    run: (registers, budget) => exports.run(registers, threads, budget) === 1,
    sharing: () => sharing(),
    close: () => stop(),
  }
  const kernels = createKernels(machine, limit)
  if (threads > 1) {
    const registers = registersOf(machine)
    sharing = sharingOf(memory, registers, threads, exports.look)
    const terminate = await startThreads({ module, memory, registers, threads }).catch(cause => {
      throw Object.assign(new Error(`backend wasm must start ${threads} threads, got ${cause instanceof Error ? cause.message : cause}`, { cause }), { code: 'backend' })
    })
    stop = () => {
      exports.end(registers)
      terminate()
    }
  }
  return kernels
}
