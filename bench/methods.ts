import { trial } from '../src/demo/trial.ts'
import { load } from '../src/load.ts'
import { methods as registered, parseMethod } from '../src/methods/index.ts'
import { wasm } from '../src/wasm/index.ts'
import { tiny } from '../test/models.ts'
import { decode } from './decode.ts'
import { say, table, type Options } from './harness.ts'
import { modelName, openNetwork } from './network.ts'

const budget = 256, usual = 7616, quickly = 1024
/** Questions that each method answers, and as many on what the first left of its cache. */
const questions = 16, seed = 1
/** Longest document of the embedded model, with room for a question and its answer. */
const longest = 32000

/**
 * Every registered method at one context and budget: how fast it decodes, all from the same seeded rows, token by token in turn; what it
 * holds and reads; and how many questions about a document of that length the embedded model answers under it.
 */
export async function bench(options: Options): Promise<void> {
  say(options, `# decode: ${modelName}; right and second: of ${questions} questions each, the embedded model`)
  const names = Object.keys(registered).filter(name => name === 'full' || name.includes(options.only))
  const network = await openNetwork(await wasm())
  for (const tokens of options.contexts.length ? options.contexts : [options.quick ? quickly : usual]) {
    const answers = tokens <= longest ? await quality(names, tokens) : undefined
    const results = await decode(options, network, tokens, names.map(name => ({ name, budget })), 'method', name => answers?.get(name) ?? {})
    table(options, ['method', 'context', 'budget', 'decode tokens/s', '× full', 'MB held', 'of full', 'rows read', 'right', 'second'], results.map(({ name, tokensPerSecond, timesFull, ledger }) => [
      name, String(tokens), name === 'full' ? '' : String(budget), tokensPerSecond.toFixed(1), timesFull.toFixed(2), (ledger.kvBytes / 1e6).toFixed(1),
      (ledger.kvBytes / ledger.kvBytesFull).toFixed(3), ledger.rowsReadPerStep.toFixed(0), ...answers ? [`${answers.get(name)!.right}/${questions}`, `${answers.get(name)!.second}/${questions}`] : ['–', '–']]))
  }
}

/** What the embedded model answers right, by method. */
async function quality(names: readonly string[], tokens: number): Promise<Map<string, { right: number; second: number; questions: number }>> {
  const model = await load(tiny)
  try {
    const { rows } = await trial({ model, policies: names.map(parseMethod), budget, tokens, questions, seed })
    return new Map(rows.map(({ method, right, rightSecond }) => [method, { right, second: rightSecond, questions }]))
  } finally {
    model.free()
  }
}
