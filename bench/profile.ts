import { integerLayout, layouts, operations, rowBytes, type Kernels, type Layout, type OperationName, type Program } from '../src/kernels/index.ts'
import { parseMethod } from '../src/methods/index.ts'
import type { Network } from '../src/model/llama.ts'
import { createSequence } from '../src/model/sequence.ts'
import { wasm } from '../src/wasm/index.ts'
import { interleave, report, say, timesOf, type Options } from './harness.ts'
import { fill, modelName, openNetwork, promptOf } from './network.ts'

type Operands = Readonly<Record<string, unknown>>
interface Step { readonly name: string; readonly program: Program; readonly macs: number }
interface Clock { readonly milliseconds: number[]; macs: number; calls: number }

/** Rows of the table that are products are told apart by their shape. */
function nameOf(operation: OperationName, o: Operands): string {
  if (operation !== 'project') return operation
  const layout = (Object.keys(layouts) as Layout[]).find(key => layouts[key] === o['layout'])!
  return `project ${layout} ${o['rows']}×${o['columns']}`
}

/**
 * Kernels that run every operation as a program of its own and keep its time: real operands in the real order. `lap` ends a
 * token or a prompt. starting: milliseconds that a program takes which does nothing, to be taken off.
 */
function profiled(k: Kernels, starting: number): { kernels: Kernels; lap(): void; clocks: Map<string, Clock>; on(yes: boolean): void } {
  const parts = new WeakMap<Program, Step[]>()
  const clocks = new Map<string, Clock>()
  let steps: Step[] | null = null
  let on = false
  let sums = new Map<string, number>()
  const wrapped = Object.fromEntries((Object.keys(operations) as OperationName[]).map(name => [name, (o: Operands) => {
    const call = k[name] as (o: Operands) => void
    if (!steps) return call(o)
    steps.push({ name: nameOf(name, o), program: k.record(() => call(o)), macs: name === 'project' ? Number(o['rows']) * Number(o['columns']) : 0 })
  }]))
  const kernels: Kernels = {
    ...k, ...wrapped,
    record(body) {
      const mine: Step[] = steps = []
      try {
        body()
      } finally {
        steps = null
      }
      const program = k.record(() => {})
      parts.set(program, mine)
      return program
    },
    async run(program, registers, signal) {
      for (const { name, program: part, macs } of parts.get(program) ?? []) {
        const before = performance.now()
        await k.run(part, registers, signal)
        if (!on) continue
        const clock = clocks.get(name) ?? { milliseconds: [], macs: 0, calls: 0 }
        clocks.set(name, clock)
        clock.calls++
        clock.macs += macs * registers.tokens
        sums.set(name, (sums.get(name) ?? 0) + Math.max(0, performance.now() - before - starting))
      }
    },
    async once(registers, body) {
      const program = kernels.record(body)
      await kernels.run(program, registers)
      kernels.release(program)
    },
    release(program) {
      if (!program) return
      for (const step of parts.get(program) ?? []) k.release(step.program)
      k.release(program)
    },
  }
  return {
    kernels, clocks,
    on(yes) { on = yes },
    lap() {
      for (const [name, sum] of sums) clocks.get(name)!.milliseconds.push(sum)
      sums = new Map()
    },
  }
}

/** Where the time of decode steps and of a prompt goes, by operation; a share is of the sum of least times. */
export async function bench(options: Options): Promise<void> {
  say(options, `# ${modelName}`)
  const plain = await wasm()
  const empty = plain.record(() => {})
  const [starts] = await interleave([() => plain.run(empty, { tokens: 1, position: 0 })], { rounds: 2000, warmUp: 2000 })
  const probe = profiled(plain, timesOf(starts!).median)
  const network = await openNetwork(probe.kernels)
  const methods = options.quick ? ['full'] : ['full', 'rocketkv']
  for (const tokens of options.quick ? [4096] : [512, 4096]) for (const method of methods) if (`decode ${method}`.includes(options.only)) await decode(options, network, probe, method, tokens)
  if ('prefill'.includes(options.only)) await prefill(options, network, probe, options.quick ? 512 : 2048)
}

type Probe = ReturnType<typeof profiled>

async function decode(options: Options, network: Network, probe: Probe, method: string, tokens: number): Promise<void> {
  const { k, config } = network
  const filled = await fill(network, 'i16', tokens)
  const logits = k.tensor([config.vocabulary], 'f32')
  const sequence = createSequence(network, { policy: parseMethod(method), budget: 256, answer: 64, kv: 'i16', precision: 'fast' })
  await sequence.adopt(filled.layers, logits)
  for (let i = 0; i < 3; i++) await sequence.next()
  probe.on(true)
  for (let i = 0; i < 24; i++) {
    await sequence.next()
    probe.lap()
  }
  probe.on(false)
  const rows = (await sequence.ledger()).rowsReadPerStep
  table(options, probe, { profile: 'decode', tokens, method }, config.layers * config.kvHeads * rows * rowBytes('i16', config.headDim))
  sequence.free()
  k.free(logits)
  filled.free()
}

async function prefill(options: Options, network: Network, probe: Probe, tokens: number): Promise<void> {
  const sequence = createSequence(network, { policy: parseMethod('rocketkv'), budget: 256, answer: 64, kv: 'i16', precision: 'fast' })
  probe.on(true)
  await sequence.prefill(promptOf(network, tokens))
  probe.lap()
  probe.on(false)
  table(options, probe, { profile: 'prefill', tokens, method: 'rocketkv' }, 0)
  sequence.free()
}

/** Longest first. attended: bytes of rows that attention reads in a lap. */
function table(options: Options, { clocks }: Probe, shape: { profile: string; tokens: number; method: string }, attended: number): void {
  const least = [...clocks].map(([name, clock]) => ({ name, clock, times: timesOf(clock.milliseconds) })).sort((a, b) => b.times.min - a.times.min)
  const all = least.reduce((sum, { times }) => sum + times.min, 0)
  for (const { name, clock, times } of least) {
    const layout = name.split(' ')[1] as Layout | undefined
    const work = clock.macs ? { unit: 'GMAC/s', amount: clock.macs / clock.milliseconds.length, type: layout && integerLayout(layout) ? 'i16' : 'f32' } as const
      : name === 'attend' && attended ? { unit: 'GB/s', amount: attended } as const : null
    report(options, name, shape, times, work, { share: `${(100 * times.min / all).toFixed(1)} %`, calls: clock.calls / clock.milliseconds.length })
  }
  say(options, `# ${shape.profile} of ${shape.tokens} tokens: ${all.toFixed(2)} ms in all`)
  clocks.clear()
}
