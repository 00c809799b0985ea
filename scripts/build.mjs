// Builds everything that is not committed: wasm from assembly/, the wasm as importable modules, dist/ from src/.
// Skips a step whose outputs are newer than its inputs. `node scripts/build.mjs wasm` stops after the kernels.
import { spawnSync } from 'node:child_process'
import { chmodSync, existsSync, mkdirSync, readFileSync, readdirSync, statSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const at = (...parts) => join(root, ...parts)
/** Targets of asconfig.json and what they are built from. */
const targets = { simd: 'index', 'simd-threads': 'index', relaxed: 'index', 'relaxed-threads': 'index', probe: 'probe' }

const files = folder => readdirSync(folder, { recursive: true, withFileTypes: true })
  .filter(entry => entry.isFile()).map(entry => join(entry.parentPath ?? entry.path, entry.name))
const newest = paths => Math.max(...paths.map(path => statSync(path).mtimeMs))
const current = (output, inputs) => existsSync(output) && statSync(output).mtimeMs > newest(inputs)

function run(name, script, ...args) {
  const { status } = spawnSync(process.execPath, [script, ...args], { cwd: root, stdio: 'inherit' })
  if (status !== 0) throw new Error(`${name} failed with exit code ${status}`)
}

const assembly = [...files(at('assembly')), at('asconfig.json'), at('package-lock.json')]
mkdirSync(at('build'), { recursive: true })
mkdirSync(at('src', 'wasm', 'builds'), { recursive: true })
for (const [target, entry] of Object.entries(targets)) {
  const wasm = at('build', `${target}.wasm`)
  const module = at('src', 'wasm', 'builds', `${target}.ts`)
  if (!current(wasm, assembly)) run('asc', at('node_modules', 'assemblyscript', 'bin', 'asc.js'), `assembly/${entry}.ts`, '--target', target)
  if (!current(module, [wasm]))
    writeFileSync(module, `/** build/${target}.wasm in base64. */\nexport const bytes: string =\n  '${readFileSync(wasm).toString('base64')}'\n`)
}
if (process.argv[2] !== 'wasm') {
  const cli = at('dist', 'cli.js')
  if (!current(cli, [...files(at('src')), at('tsconfig.json'), at('tsconfig.build.json')])) {
    run('tsc', at('node_modules', 'typescript', 'bin', 'tsc'), '-p', 'tsconfig.build.json')
    chmodSync(cli, 0o755)
  }
}
