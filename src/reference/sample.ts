import type { Words } from '../kernels/operations.ts'
import type { Memory } from './memory.ts'

const largestFloat = 3.4028234663852886e38
const finite = (x: number): number => Number.isNaN(x) ? -largestFloat : Math.min(Math.max(x, -largestFloat), largestFloat)

/** SplitMix64 (Steele, Lea, Flood, OOPSLA 2014). In [0, 1). */
function random(m: Memory, state: number): number {
  const word = (x: bigint): bigint => BigInt.asUintN(64, x)
  let z = word((BigInt(m.u32[state / 4 + 1]!) << 32n | BigInt(m.u32[state / 4]!)) + 0x9e3779b97f4a7c15n)
  m.u32[state / 4] = Number(z & 0xffffffffn)
  m.u32[state / 4 + 1] = Number(z >> 32n)
  z = word((z ^ z >> 30n) * 0xbf58476d1ce4e5b9n)
  z = word((z ^ z >> 27n) * 0x94d049bb133111ebn)
  return Number((z ^ z >> 31n) >> 11n) / 2 ** 53
}

/** Divides what speaks for an id that was there already, multiplies what speaks against it; once, however often it was there. */
function penalised(m: Memory, { logits, n, history, historyCount, penalty }: Words<'sample'>): Float32Array {
  const out = m.f32.slice(logits / 4, logits / 4 + n).map(finite)
  const count = history && historyCount ? m.u32[historyCount / 4]! : 0
  for (const id of new Set(m.u32.subarray(history / 4, history / 4 + count)))
    if (id < n) out[id] = finite(Math.fround(out[id]! > 0 ? out[id]! / penalty : out[id]! * penalty))
  return out
}

function argmax(x: Float32Array): number {
  let best = 0
  for (let i = 1; i < x.length; i++) if (x[i]! > x[best]!) best = i
  return best
}

const sum = (ids: readonly number[], weight: (id: number) => number): number => ids.reduce((total, id) => total + weight(id), 0)

/** The smallest start of `ids` that holds the share topP of their weight. */
function nucleus(ids: readonly number[], weight: (id: number) => number, topP: number): readonly number[] {
  const enough = topP * sum(ids, weight)
  let held = 0
  const last = ids.findIndex(id => (held += weight(id)) >= enough)
  return last < 0 ? ids : ids.slice(0, last + 1)
}

/** llama.cpp's default order: penalty, top-k, top-p, min-p, temperature, draw. */
function choose(m: Memory, words: Words<'sample'>): void {
  const { out, logits, n, state, temperature, topK, topP, minP } = words
  if (!(temperature > 0)) {
    m.u32[out / 4] = argmax(m.f32.slice(logits / 4, logits / 4 + n).map(finite))
    return
  }
  const x = penalised(m, words)
  const largest = x[argmax(x)]!
  const weight = (id: number): number => Math.exp(x[id]! - largest)
  let ids: readonly number[] = Array.from(x, (_, id) => id)
  if ((topK > 0 && topK < n) || topP < 1) {
    ids = ids.toSorted((a, b) => x[b]! - x[a]! || a - b)
    if (topK > 0) ids = ids.slice(0, topK)
    if (topP < 1) ids = nucleus(ids, weight, topP)
  }
  ids = ids.filter(id => weight(id) >= Math.min(minP, 1))
  const heated = (id: number): number => Math.exp((x[id]! - largest) / temperature)
  const target = random(m, state) * sum(ids, heated)
  let held = 0
  m.u32[out / 4] = ids.find(id => (held += heated(id)) > target) ?? ids[0]!
}

export const sample = { sample: choose }
