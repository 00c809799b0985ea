import { boundBytes, isPacked, rowBytes, rowTypes, segmentWords, tailType, wholeGroups, wholeTiles, type Data, type Kernels, type Registers, type RowType, type Tensor, type Type } from '../../src/kernels/index.ts'
import { backends, start } from '../backends.ts'
import { near } from '../near.ts'

const guardBytes = 64
const guard = 0xa5

/** Places inputs and outputs of one case, with guard bytes behind each; `offset` moves them off their alignment. */
export interface Bench {
  readonly k: Kernels
  /** A tensor with these numbers, or with `fill` (default 0xa5 bytes, so that what is not written shows). */
  tensor(shape: readonly number[], type: Type, data?: ArrayLike<number>): Tensor
  /**
   * A segment table and its rows. rows: for each KV head keys and values [count, headDim]; stored with `append`, positions
   * from 0 (T = count, so all heads have as many rows). split: that many rows (a multiple of 64) lie in the shared base part. q8 and q4: whole
   * groups are packed (split says nothing), and as many rows fit the tail.
   */
  segments(options: { kvHeads: number; headDim: number; type: RowType; keys: Float32Array; values: Float32Array; count: number; capacity?: number; split?: number; pageSize?: number }): Promise<Tensor>
  run(registers: Registers, body: () => void): Promise<void>
}

function bench(k: Kernels, offset: number): Bench & { check(where: string): void } {
  const guards: Tensor[] = []
  return {
    k,
    tensor(shape, type, data) {
      const whole = k.tensor([guardBytes * 2 + 8 + shape.reduce((a, b) => a * b, 1) * (type === 'f64' ? 8 : type === 'u8' ? 1 : type === 'i16' ? 2 : 4)], 'u8')
      const bytes = k.view(whole)
      bytes.fill(guard)
      const move = type === 'f64' ? 0 : offset
      const t: Tensor = { shape, type, address: whole.address + guardBytes + move, bytes: whole.bytes - 2 * guardBytes - 8 }
      guards.push({ shape: [guardBytes], type: 'u8', address: whole.address + move, bytes: guardBytes },
        { shape: [guardBytes], type: 'u8', address: t.address + t.bytes, bytes: guardBytes })
      if (data) k.upload(t, data)
      return t
    },
    async segments({ kvHeads, headDim, type, keys, values, count, capacity = wholeTiles(count + 1), split = 0, pageSize }) {
      const table = this.tensor([kvHeads, segmentWords], 'u32')
      const pages = pageSize ? Math.ceil(capacity / pageSize) : 0
      const words: number[] = []
      for (let h = 0; h < kvHeads; h++) {
        const shared = isPacked(type) ? wholeGroups(capacity) : split, own = isPacked(type) ? wholeTiles(capacity) : capacity - split
        const base = shared ? this.tensor([rowBytes(type, headDim) * shared], 'u8') : null
        const tail = this.tensor([rowBytes(tailType(type), headDim) * own], 'u8')
        const bounds = pageSize ? this.tensor([boundBytes(type, headDim, pageSize, pages)], 'u8') : null
        words.push(0, isPacked(type) ? 0 : split, base?.address ?? 0, shared, tail.address, own, bounds?.address ?? 0, bounds ? Math.ceil(pages / 64) : 0)
      }
      k.upload(table, words)
      const from = this.tensor([count, kvHeads, headDim], 'f32', keys), to = this.tensor([count, kvHeads, headDim], 'f32', values)
      await k.once({ tokens: count, position: 0 }, () => {
        k.append({ segments: table, keys: from, values: to, kvHeads, headDim, type: rowTypes[type] })
        k.advance({ segments: table, kvHeads })
        if (isPacked(type)) k.pack({ segments: table, kvHeads, headDim, type: rowTypes[type] })
      })
      return table
    },
    run: (registers, body) => k.once(registers, body),
    check(where) {
      for (const t of guards) if (k.view(t).some(byte => byte !== guard)) throw new Error(`${where}: a guard byte was overwritten`)
    },
  }
}

export type Outputs = Record<string, { data: ArrayLike<number>; tolerance: number }>

/**
 * Runs a case on every backend and on the reference, aligned and 4 bytes off, and compares what it returns, each output within
 * its tolerance (0: the same numbers). Tolerances are relative to max(1, |expected|).
 */
export async function compare(what: string, body: (b: Bench) => Promise<Outputs>): Promise<void> {
  const expected = await once('reference', 0, what, body)
  for (const name of backends)
    for (const offset of [0, 4]) {
      const actual = await once(name, offset, what, body)
      for (const [output, { data, tolerance }] of Object.entries(expected))
        near(actual[output]!.data, data, tolerance, `${what} on ${name}, ${offset} bytes off: ${output}`)
    }
}

const started = new Map<string, Promise<Kernels>>()

async function once(name: string, offset: number, what: string, body: (b: Bench) => Promise<Outputs>): Promise<Outputs> {
  if (!started.has(name)) started.set(name, start(name))
  const k = await started.get(name)!
  const taken: Tensor[] = []
  const tracking: Kernels = { ...k, tensor(shape, type) {
    const t = k.tensor(shape, type)
    taken.push(t)
    return t
  } }
  const b = bench(tracking, offset)
  const outputs = await body(b)
  b.check(`${what} on ${name}`)
  k.free(...taken)
  return outputs
}

export type { Data }
