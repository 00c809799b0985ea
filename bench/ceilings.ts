import asc from 'assemblyscript/asc'
import { sink } from './harness.ts'

/** What this processor gives one thread of wasm, at best. */
export interface Ceilings {
  /** Bytes read and written by memory.copy of what no cache holds, 10⁹ a second. */
  readonly copy: number
  /** Bytes read by vector loads, the same. */
  readonly read: number
  /** Multiply-adds of i16 into i32, one factor from the nearest cache, 10⁹ a second. */
  readonly i16: number
  /** The same of f32, a product and a sum each. */
  readonly f32: number
}

const bytes = 64 << 20
const turns = 1 << 20
/** Independent sums, so that none waits for itself. */
const chains = 8
const rounds = 15

const sums = Array.from({ length: chains }, (_, i) => `s${i}`)
const source = `
export function copy(): void {
  memory.copy(${bytes}, 0, ${bytes})
}
export function read(): i32 {
  let a = i32x4.splat(0), b = a, c = a, d = a
  for (let p: usize = 0; p < ${bytes}; p += 64) {
    a = v128.xor(a, v128.load(p))
    b = v128.xor(b, v128.load(p, 16))
    c = v128.xor(c, v128.load(p, 32))
    d = v128.xor(d, v128.load(p, 48))
  }
  return i32x4.extract_lane(v128.xor(v128.xor(a, b), v128.xor(c, d)), 0)
}
export function i16(): i32 {
  const w = v128.load(0)
  let ${sums.map(s => `${s} = w`).join(', ')}
  for (let i: usize = 0; i < ${turns}; i++) {
    const p = (i & 31) << 7
    ${sums.map((s, i) => `${s} = i32x4.add(${s}, i32x4.dot_i16x8_s(v128.load(p, ${16 * i}), w))`).join('\n    ')}
  }
  return i32x4.extract_lane(${sums.reduce((a, b) => `v128.xor(${a}, ${b})`)}, 0)
}
export function f32s(): f32 {
  const w = v128.load(0)
  let ${sums.map(s => `${s} = w`).join(', ')}
  for (let i: usize = 0; i < ${turns}; i++) {
    const p = (i & 31) << 7
    ${sums.map((s, i) => `${s} = f32x4.add(${s}, f32x4.mul(v128.load(p, ${16 * i}), w))`).join('\n    ')}
  }
  return f32x4.extract_lane(${sums.reduce((a, b) => `f32x4.add(${a}, ${b})`)}, 0)
}
`

async function compile(): Promise<BufferSource> {
  let binary: Uint8Array<ArrayBuffer> | undefined
  const { error, stderr } = await asc.main(['ceilings.ts', '--outFile', 'ceilings.wasm', '--enable', 'simd', '--optimizeLevel', '3', '--noAssert', '--runtime', 'stub', '--importMemory'], {
    readFile: name => name === 'ceilings.ts' ? source : null,
    writeFile: (name, contents) => { if (name === 'ceilings.wasm') binary = contents as Uint8Array<ArrayBuffer> },
    listFiles: () => [],
  })
  if (error || !binary) throw error ?? new Error(`ceilings must compile, got ${stderr.toString()}`)
  return binary
}

/** Measures the ceilings: the best of some rounds, in about a second. */
export async function measureCeilings(): Promise<Ceilings> {
  const memory = new WebAssembly.Memory({ initial: 2 * bytes >> 16 })
  const { instance } = await WebAssembly.instantiate(await compile(), { env: { memory, abort() {} } }) as unknown as WebAssembly.WebAssemblyInstantiatedSource
  const body = instance.exports as unknown as { copy(): void; read(): number; i16(): number; f32s(): number }
  new Uint8Array(memory.buffer).fill(60)
  const best = (run: () => number | void): number => {
    let least = Infinity
    for (let i = 0; i < rounds; i++) {
      const start = performance.now()
      sink(run() ?? 0)
      least = Math.min(least, performance.now() - start)
    }
    return least * 1e6
  }
  return {
    copy: 2 * bytes / best(body.copy), read: bytes / best(body.read),
    i16: turns * chains * 8 / best(body.i16), f32: turns * chains * 4 / best(body.f32s),
  }
}
