/** The wasm builds there are, of one source and with the same bits. relaxed: 4-bit weights by a dot of bytes. */
export type Build = 'simd' | 'relaxed'
export const builds: readonly Build[] = ['simd', 'relaxed']

/** Only what runs is loaded. */
const sources = {
  simd: () => import('./builds/simd.ts'),
  'simd-threads': () => import('./builds/simd-threads.ts'),
  relaxed: () => import('./builds/relaxed.ts'),
  'relaxed-threads': () => import('./builds/relaxed-threads.ts'),
  probe: () => import('./builds/probe.ts'),
}

export async function compile(name: keyof typeof sources): Promise<WebAssembly.Module> {
  const { bytes } = await sources[name]()
  return WebAssembly.compile(Uint8Array.from(atob(bytes), c => c.charCodeAt(0)))
}

/** sums [n, 4] i32 += dots of a [n, 4, 4] signed bytes and b [n, 4, 4] bytes of 7 bits: assembly/probe.ts. */
export type Dots = (sums: number, a: number, b: number, n: number) => void

/** Vectors that a probe multiplies: all pairs of extreme bytes, then any. */
const vectors = 256
const extremes = { a: [-128, -127, -1, 0, 1, 127], b: [0, 1, 15, 64, 127] } as const

/**
 * Runs the relaxed dot on known bytes at `at` of a memory that nothing else uses yet, and leaves zeros. Returns the first wrong sum,
 * in words. To validate the instruction is not enough: V8 11.3, behind its flag, loses what was summed before.
 */
export function wrongSum(dots: Dots, memory: WebAssembly.Memory, at: number): string | undefined {
  const start = Math.ceil(at / 16) * 16, lanes = 4 * vectors, bytes = 4 * lanes
  const sums = new Int32Array(memory.buffer, start, lanes)
  const a = new Int8Array(memory.buffer, start + bytes, bytes), b = new Int8Array(memory.buffer, start + 2 * bytes, bytes)
  const pairs = extremes.a.length * extremes.b.length
  for (let i = 0; i < bytes; i++) {
    const lane = i >> 2
    a[i] = lane < pairs ? extremes.a[lane % extremes.a.length]! : i * 37 + (i >> 5)
    b[i] = lane < pairs ? extremes.b[Math.floor(lane / extremes.a.length)]! : i * 53 >> 1 & 127
  }
  const expected = sums.map((_, lane) => 1000003 * lane - (1 << 28))
  sums.set(expected)
  // Twice, so that sums begin with what the instruction left.
  for (let round = 0; round < 2; round++) {
    dots(start, start + bytes, start + 2 * bytes, vectors)
    for (let i = 0; i < bytes; i++) expected[i >> 2]! += a[i]! * b[i]!
  }
  const lane = expected.findIndex((sum, i) => sum !== sums[i])
  const words = lane < 0 ? undefined : `${sums[lane]} for ${expected[lane]}`
  new Uint8Array(memory.buffer, start, 3 * bytes).fill(0)
  return words
}

const reasonOf = (error: unknown): string => error instanceof Error ? error.message : String(error)

async function probe(): Promise<string | undefined> {
  try {
    const memory = new WebAssembly.Memory({ initial: 1 })
    const { exports } = await WebAssembly.instantiate(await compile('probe'), { env: { memory } })
    return wrongSum(exports['dots'] as Dots, memory, 0)
  } catch (error) {
    return reasonOf(error)
  }
}

let probed: Promise<string | undefined> | undefined

/** Why the relaxed build cannot be trusted here, or undefined where it can. Found out once. */
export const relaxedFault = (): Promise<string | undefined> => probed ??= probe()

/** What is refused where relaxed dots go wrong. */
export const refuseRelaxed = (reason: string): Error =>
  Object.assign(new Error(`build relaxed must run where i32x4.relaxed_dot_i8x16_i7x16_add_s is exact, got ${reason}`), { code: 'backend' })

/** `wanted` if it works here, the best that does where none is. */
export async function choose(wanted?: Build): Promise<Build> {
  if (wanted === 'simd') return wanted
  const reason = await relaxedFault()
  if (reason === undefined) return 'relaxed'
  if (wanted === 'relaxed') throw refuseRelaxed(reason)
  return 'simd'
}
