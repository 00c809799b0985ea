// Benches: npm run bench -- [NAME …] [options]; bench/README.md describes them.
import { parseArgs } from 'node:util'
import { wasm } from '../src/wasm/index.ts'
import { measureCeilings } from './ceilings.ts'
import { header, line, say, type Options } from './harness.ts'
import { writeResults } from './results.ts'

interface Bench { readonly about: string; readonly run: () => Promise<{ bench(options: Options): Promise<void> }> }

/** In this order; `all` is every one of them. */
const benches: Readonly<Record<string, Bench>> = {
  kernels: { about: 'hot kernels against their roofs, then products, attention and selection by shape', run: () => import('./kernels/index.ts') },
  model: { about: 'loading, first token, prefill and decode up to 128k, sampling', run: () => import('./model.ts') },
  methods: { about: 'every method from the same cache: decode against full, bytes held, rows read', run: () => import('./methods.ts') },
  threads: { about: 'decode and prefill with two threads against one', run: () => import('./threads.ts') },
  builds: { about: 'the relaxed build against simd: products, prefill, decode', run: () => import('./builds.ts') },
  long: { about: 'memory of 131,072 tokens on the shape of Llama-3.2-1B, as planned and as counted', run: () => import('./long.ts') },
  propagate: { about: "what FastKV's token-selective propagation saves and costs", run: () => import('./propagate.ts') },
  kv: { about: 'what each cache type costs: error, answers, bytes, time', run: () => import('./kv.ts') },
  profile: { about: 'where the time of a decode step and of a prefill goes', run: () => import('./profile.ts') },
  peers: { about: 'wllama in Chromium and llama.cpp native beside us, in one run (installs them at first)', run: () => import('./peers/index.ts') },
}

const help = `npm run bench -- model --quick

${Object.entries(benches).map(([name, { about }]) => `  ${name.padEnd(9)} ${about}`).join('\n')}
  ${'all'.padEnd(9)} every one of them

  --quick           fewer lengths, methods and rounds: a look, not a measurement
  --only WORD       rows whose name contains WORD
  --json FILE       one JSON line a result into FILE; without FILE, or with -, to the terminal in place of the tables
  --results FILE    what is printed into FILE as markdown, a section a bench
  --contexts N,N…   tokens before decoding, in place of each bench's own
  --rounds N        rounds of peers, 3 by default; of wllama beyond 1024 tokens always 1
  --skip NAME,…     engines that peers leaves out: wllama, native, node, chromium; wllama@7616 at one context`

/** A refusal: one sentence, exit code 2. */
function refuse(sentence: string): never {
  console.error(`${sentence}\n\n${help}`)
  process.exit(2)
}

/** --json alone means the terminal. */
const given = process.argv.slice(2).flatMap((word, i, all) => word === '--json' && (all[i + 1] === undefined || all[i + 1]!.startsWith('--')) ? [word, '-'] : [word])
const text = { type: 'string', default: '' } as const, flag = { type: 'boolean', default: false } as const
const { values, positionals } = parseArgs({
  args: given, allowPositionals: true,
  options: { quick: flag, only: text, json: text, results: text, contexts: text, rounds: { type: 'string', default: '3' }, skip: text, help: flag },
})
const strange = positionals.find(name => !(name in benches) && name !== 'all')
if (values.help) {
  console.log(help)
  process.exit(0)
}
if (strange !== undefined) refuse(`bench must be one of ${Object.keys(benches).join(', ')} or all, got ${strange}`)

const words = (list: string): string[] => list.split(',').filter(word => word !== '')
const whole = (name: string, word: string): number => /^[1-9]\d{0,6}$/.test(word) ? Number(word) : refuse(`${name} must be a whole number from 1 on, got ${word}`)
const contexts = words(values.contexts).map(word => whole('contexts', word)), rounds = whole('rounds', values.rounds)
const names = positionals.length && !positionals.includes('all') ? positionals : Object.keys(benches)

const notes: string[] = []
const options: Options = { quick: values.quick, only: values.only, json: values.json, contexts, rounds, skip: words(values.skip), notes, ceilings: await measureCeilings() }
header(options, (await wasm()).build)
const about = notes.splice(0)
for (const name of names) {
  const start = performance.now()
  say(options, `\n${name}`)
  await (await benches[name]!.run()).bench(options)
  const seconds = (performance.now() - start) / 1e3
  line(options, { name: 'took', bench: name, seconds: Math.round(seconds) })
  say(options, `# ${name} took ${seconds.toFixed(0)} s`)
  const [, ...printed] = notes.splice(0)
  if (values.results) writeResults(values.results, name, [...about, ...printed])
}
