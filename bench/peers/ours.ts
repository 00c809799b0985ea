import type { Model, load, methods } from '../../src/index.ts'
import type { Policy } from '../../src/cache/policy.ts'
import type { wasm } from '../../src/wasm/index.ts'
import type { Engine } from './engine.ts'

/** The built package: as a page or a program gets it, not its sources. */
export interface Library {
  readonly load: typeof load
  readonly methods: typeof methods
  readonly wasm: typeof wasm
}

/** Our engine on a built library. sourceOf: what `load` is given for a setup's model, made before time is taken. */
export function ours({ load, methods, wasm }: Library, sourceOf: (model: string) => Promise<string | Blob>): Engine {
  let model: Model | undefined, policy: Policy, budget = 1
  return {
    async open(setup) {
      policy = (methods as unknown as Record<string, () => Policy>)[setup.method]!()
      budget = setup.budget
      const source = await sourceOf(setup.model)
      const first = performance.now()
      const k = await wasm()
      const out = k.tensor([4], 'f64')
      await k.once({ tokens: 0, position: 0 }, () => k.ropeFrequencies({ out, factors: null, rotary: 8, base: 10000 }))
      const firstKernelMs = performance.now() - first
      k.close()
      const start = performance.now()
      model = await load(source, { kv: setup.kv === 'f32' ? 'f32' : 'i16' })
      return { loadMs: performance.now() - start, firstKernelMs }
    },
    async run({ ids, answer }) {
      const sequence = model!.sequence({ policy, budget, answer })
      try {
        const start = performance.now()
        await sequence.prefill(ids)
        const read = performance.now()
        await sequence.next()
        const first = performance.now()
        for (let i = 1; i < answer; i++) await sequence.next()
        const end = performance.now()
        const { memoryBytesPeak } = await sequence.ledger()
        return { promptTokens: ids.length, prefillMs: read - start, firstTokenMs: first - start, decoded: answer - 1, decodeMs: end - first, memoryBytesPeak }
      } finally {
        sequence.free()
      }
    },
    async close() {
      model?.free()
    },
  }
}
