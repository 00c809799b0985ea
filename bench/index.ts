// Benches: npm run bench -- [NAME …] [--quick] [--only WORD] [--json FILE]
import { parseArgs } from 'node:util'
import { wasm } from '../src/wasm/index.ts'
import { measureCeilings } from './ceilings.ts'
import { header, line, say, type Options } from './harness.ts'

interface Bench { readonly about: string; readonly run: () => Promise<{ bench(options: Options): Promise<void> }> }

/** In this order, all of them where none is named. */
const benches: Readonly<Record<string, Bench>> = {
  matmul: { about: 'products of every weight type', run: () => import('./kernels/matmul.ts') },
  attend: { about: 'attention by shape', run: () => import('./kernels/attend.ts') },
  select: { about: 'choosing rows and cutting prompts', run: () => import('./kernels/select.ts') },
  model: { about: 'loading, prefill and decode of a model, method by method', run: () => import('./model.ts') },
  kv: { about: 'what each cache type costs: error, answers, bytes, time', run: () => import('./kv.ts') },
  profile: { about: 'where the time of a decode step and of a prefill goes', run: () => import('./profile.ts') },
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { quick: { type: 'boolean', default: false }, only: { type: 'string', default: '' }, json: { type: 'string', default: '' }, help: { type: 'boolean', default: false } },
})
const strange = positionals.find(name => !(name in benches))
if (values.help || strange !== undefined) {
  if (strange !== undefined) console.error(`bench must be one of ${Object.keys(benches).join(', ')}, got ${strange}`)
  console.log(`npm run bench -- model --quick\n\n${Object.entries(benches).map(([name, { about }]) => `  ${name.padEnd(9)} ${about}`).join('\n')}\n
  --quick      fewer lengths, methods and rounds
  --only WORD  rows whose name contains WORD
  --json FILE  one JSON line a result into FILE; - for the terminal`)
  process.exit(strange === undefined ? 0 : 2)
}

const options: Options = { quick: values.quick, only: values.only, json: values.json, ceilings: await measureCeilings() }
header(options, (await wasm()).build)
for (const name of positionals.length ? positionals : Object.keys(benches)) {
  const start = performance.now()
  say(options, `\n${name}`)
  await (await benches[name]!.run()).bench(options)
  const seconds = (performance.now() - start) / 1e3
  line(options, { name: 'took', bench: name, seconds: Math.round(seconds) })
  say(options, `# ${name} took ${seconds.toFixed(0)} s`)
}
