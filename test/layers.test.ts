// The import rule: a room imports only from the rooms that are named here, so that each part can be used, read and replaced alone.
import { readFileSync, readdirSync } from 'node:fs'
import { dirname, join, relative, sep } from 'node:path'
import { fileURLToPath } from 'node:url'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { methods } from '../src/methods/index.ts'

const root = fileURLToPath(new URL('..', import.meta.url))

/** What a room may import: rooms of ours, then packages. A file directly in src/ is a room of its own. */
const allowed: Readonly<Record<string, readonly string[]>> = {
  kernels: [],
  reference: ['kernels'],
  wasm: ['kernels', '@assemblyscript/loader', 'node:worker_threads'],
  gguf: ['node:fs/promises'],
  tokenizer: ['@huggingface/jinja', '@huggingface/tokenizers'],
  cache: ['kernels'],
  methods: ['cache'],
  model: ['cache', 'kernels', 'gguf', 'tokenizer'],
  demo: ['model', 'cache', 'load.ts'],
  // The only place that puts a file, a tokenizer, a backend and a method together.
  'load.ts': ['model', 'cache', 'methods', 'kernels', 'reference', 'wasm', 'gguf', 'tokenizer'],
  'index.ts': ['load.ts', 'methods', 'cache', 'model', 'kernels'],
  cli: ['demo', 'load.ts', 'model', 'cache', 'kernels', 'methods', 'gguf', 'tokenizer', 'wasm', 'cli-progress', 'node:'],
  'cli.ts': ['cli', 'node:fs/promises'],
}

/** Rooms that no core sub-path reaches, directly or not: each can be had without a model, a tokenizer or a terminal. */
const outside = ['tokenizer', 'cli', 'model', 'gguf', 'demo', 'load.ts', 'cli.ts', 'index.ts']
const core = ['./kernels', './reference', './wasm', './attention', './methods/*']

interface Import { readonly from: string; readonly to: string; readonly dynamic: boolean }

/** Paths below `folder`, with slashes. */
const files = (folder: string): string[] => readdirSync(join(root, folder), { recursive: true })
  .map(name => `${folder}/${String(name).split(sep).join('/')}`)
  .filter(path => path.endsWith('.ts') && !path.startsWith('src/wasm/builds/') && !path.includes('/node_modules/'))

const source = (path: string): string => readFileSync(join(root, path), 'utf8')
const inSource = (path: string): string => relative(join(root, 'src'), join(root, path)).split(sep).join('/')

/** Where `name`, written in the file `path`, leads: a path of ours, or a package. */
const target = (path: string, name: string): string => name.startsWith('.') ? join(dirname(path), name).split(sep).join('/') : name

function imports(path: string): Import[] {
  const text = source(path).replace(/\/\*[\s\S]*?\*\//g, '')
  return [...text.matchAll(/\bfrom '([^']+)'|^import '([^']+)'|\bimport\(\s*'([^']+)'\s*\)/gm)]
    .map(([, from, bare, dynamic]) => ({ from: path, to: target(path, (from ?? bare ?? dynamic)!), dynamic: dynamic !== undefined }))
}

/** `src/cache/plan.ts` → `cache`, `src/load.ts` → `load.ts`, a package → its name. */
const room = (path: string): string => path.startsWith('src/') ? inSource(path).split('/')[0]! : path

const code = files('src')
const all = code.flatMap(imports)

test('every room imports what it may', () => {
  for (const { from, to } of all) {
    const [here, there] = [room(from), room(to)]
    const may = allowed[here]
    assert.ok(may, `${from}: its room must be in the list of this test, got ${here}`)
    assert.ok(here === there || may.some(name => there === name || name.endsWith(':') && there.startsWith(name)), `${from} must import from ${may.join(', ') || 'nothing'}, got ${to}`)
  }
})

test('the list names rooms that are there', () => {
  const rooms = new Set(code.map(room))
  for (const name of Object.keys(allowed)) assert.ok(rooms.has(name), name)
})

test('Node only in the command line, and where a path is opened or a thread started', () => {
  const node = all.filter(({ from, to }) => to.startsWith('node:') && !['cli', 'cli.ts'].includes(room(from)))
  assert.equal([...new Set(node.map(({ from, to }) => `${from} ${to}`))], ['src/gguf/file.ts node:fs/promises', 'src/wasm/workers.ts node:worker_threads'])
  for (const { from, dynamic } of node) assert.ok(dynamic, `${from} must import Node where it needs it, so that it loads where there is none`)
})

test('a wasm build is loaded only when it is the one that runs', () => {
  const loads = all.filter(({ to }) => to.startsWith('src/wasm/builds/'))
  assert.equal(loads.map(({ to }) => to.replace('src/wasm/builds/', '')).sort(), ['probe.ts', 'relaxed-threads.ts', 'relaxed.ts', 'simd-threads.ts', 'simd.ts'])
  for (const { from, to, dynamic } of loads) assert.ok(dynamic, `${from} must import ${to} where it is wanted`)
})

test('core sub-paths reach no tokenizer, model or command line', () => {
  const { exports } = JSON.parse(source('package.json')) as { exports: Record<string, { default: string }> }
  for (const name of core) {
    const [before, after] = exports[name]!.default.replace('./dist/', 'src/').replace(/\.js$/, '.ts').split('*') as [string, string?]
    const reached = new Set(after === undefined ? [before] : code.filter(path => path.startsWith(before) && path.endsWith(after)))
    assert.ok(reached.size > 0 && [...reached].every(path => code.includes(path)), name)
    for (const path of reached) for (const { to } of imports(path)) {
      if (to.startsWith('src/') && !to.startsWith('src/wasm/builds/')) reached.add(to)
      else assert.ok(to.startsWith('src/') || to === '@assemblyscript/loader' || to === 'node:worker_threads', `${name} must need no package but the loader, got ${to} in ${path}`)
    }
    for (const path of reached) assert.ok(!outside.includes(room(path)), `${name} must not reach ${path}`)
  }
})

test('kernels in assembly import nothing from elsewhere', () => {
  for (const { from, to } of files('assembly').flatMap(imports)) assert.match(to, /^assembly\/\w+$/, from)
})

/** A page is about 60 lines: a file has to be read in a few minutes, a method at a glance. */
const longest = { any: 400, assembly: 250, method: 60 }

test('no file is too long', () => {
  const lines = (path: string): number => source(path).trimEnd().split('\n').length
  for (const path of ['src', 'assembly', 'test', 'bench', 'examples'].flatMap(files))
    assert.ok(lines(path) <= (path.startsWith('assembly/') ? longest.assembly : longest.any), `${path}: ${lines(path)} lines`)
  for (const name of Object.keys(methods)) assert.ok(lines(`src/methods/${name}.ts`) <= longest.method, name)
})

test.run()
