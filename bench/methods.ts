import { methods as registered } from '../src/methods/index.ts'
import { wasm } from '../src/wasm/index.ts'
import { decode } from './decode.ts'
import { say, type Options } from './harness.ts'
import { modelName, openNetwork } from './network.ts'

const budget = 256

/** Every registered method decodes from the same seeded rows at one context and budget, token by token in turn. How well they answer, `pocketkv demo` tells. */
export async function bench(options: Options): Promise<void> {
  say(options, `# ${modelName}; how well each method answers at a budget: pocketkv demo`)
  const network = await openNetwork(await wasm())
  const names = Object.keys(registered).filter(name => name === 'full' || name.includes(options.only))
  for (const tokens of options.contexts.length ? options.contexts : [options.quick ? 1024 : 7616])
    await decode(options, network, tokens, names.map(name => ({ name, budget })), 'method')
}
