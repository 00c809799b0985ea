// What is published: exact versions, nothing that runs at install, sub-paths that load, sizes below named numbers.
import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { methods } from '../src/methods/index.ts'
import { builds } from '../src/wasm/index.ts'

const root = fileURLToPath(new URL('..', import.meta.url))
const read = (path: string): string => readFileSync(join(root, path), 'utf8')
const manifest = JSON.parse(read('package.json'))
const lock = JSON.parse(read('package-lock.json')) as { packages: Record<string, { version?: string; resolved?: string; integrity?: string; hasInstallScript?: boolean }> }

const built = spawnSync(process.execPath, [join(root, 'scripts', 'build.mjs')], { encoding: 'utf8' })
if (built.status !== 0) throw new Error(`the build must succeed before its package is tested, got ${built.stderr}`)

/** Every package of a user's installation, and why it is there. */
const dependencies: Readonly<Record<string, string>> = {
  '@assemblyscript/loader': 'instantiates the kernels',
  '@huggingface/jinja': "renders the file's chat template",
  '@huggingface/tokenizers': "runs the file's vocabulary and merges",
  'cli-progress': 'the progress of a prefill in the terminal',
}
const devDependencies: Readonly<Record<string, string>> = {
  '@huggingface/gguf': 'the oracle of the reader',
  '@types/cli-progress': 'types',
  '@types/node': 'types',
  assemblyscript: 'compiles the kernels',
  'fast-check': 'makes cases for properties',
  tsx: 'runs TypeScript in tests on Node 20',
  typescript: 'checks types and builds dist',
  uvu: 'runs tests',
}

/** Bytes. Each wasm build and the module that probes for the relaxed one; compressed what a user downloads (the embedded model is 1.2 MB of it), and unpacked. */
const most = { wasm: 95_000, probe: 200, packed: 1_900_000, unpacked: 3_850_000 }

test('dependencies are the allowed ones, at exact versions', () => {
  assert.equal(Object.keys(manifest.dependencies), Object.keys(dependencies))
  assert.equal(Object.keys(manifest.devDependencies), Object.keys(devDependencies))
  for (const [name, version] of Object.entries({ ...manifest.dependencies, ...manifest.devDependencies })) {
    assert.match(version as string, /^\d+\.\d+\.\d+$/, name)
    assert.is(lock.packages[`node_modules/${name}`]?.version, version, name)
  }
  for (const kind of ['peerDependencies', 'optionalDependencies', 'bundleDependencies']) assert.is(manifest[kind], undefined)
})

test('locks name content, not places', () => {
  for (const folder of ['', 'test/runtimes/']) {
    const { packages } = JSON.parse(read(`${folder}package-lock.json`)) as typeof lock
    for (const [path, { resolved, integrity }] of Object.entries(packages)) {
      if (path === '') continue
      assert.is(resolved, undefined, path)
      assert.match(integrity ?? '', /^sha512-/, path)
    }
    assert.match(read(`${folder}.npmrc`), /^omit-lockfile-registry-resolved=true$/m)
  }
})

test('nothing runs when it is installed', () => {
  for (const script of ['preinstall', 'install', 'postinstall', 'prepare', 'prepublish']) assert.is(manifest.scripts[script], undefined, script)
  for (const name of Object.keys(dependencies)) assert.is(lock.packages[`node_modules/${name}`]?.hasInstallScript, undefined, name)
})

test('licence', () => {
  assert.is(manifest.license, 'Apache-2.0')
  assert.match(read('LICENSE'), /Apache License\s+Version 2\.0, January 2004/)
})

test('ESM, Node 20 and later, a program', () => {
  assert.equal([manifest.type, manifest.sideEffects, manifest.engines.node], ['module', false, '>=20'])
  const program = manifest.bin.pocketkv as string
  assert.match(read(program), /^#!\/usr\/bin\/env node\n/)
  if (process.platform !== 'win32') assert.ok(statSync(join(root, program)).mode & 0o111, `${program} must be executable`)
})

test('what is named is there', () => {
  for (const path of manifest.files.filter((path: string) => !path.startsWith('!'))) assert.ok(existsSync(join(root, path)), path)
})

/** The sub-path and a file for each `*` that it stands for. */
function places(name: string, path: string): [string, string][] {
  return name.includes('*') ? Object.keys(methods).map(method => [name.replace('*', method), path.replace('*', method)]) : [[name, path]]
}

for (const [name, { types, default: path }] of Object.entries(manifest.exports as Record<string, { types: string; default: string }>))
  test(`${name} loads and has types`, async () => {
    for (const [, type] of places(name, types)) assert.ok(existsSync(join(root, type)), type)
    for (const [place, file] of places(name, path)) {
      const module = await import(pathToFileURL(join(root, file)).href) as object
      assert.ok(Object.keys(module).length > 0, place)
    }
  })

test('by its own name, as a user imports it', () => {
  const text = `import { load, methods, compose } from 'pocketkv'; import { snapkv } from 'pocketkv/methods/snapkv'
    if (typeof load !== 'function' || typeof compose !== 'function' || snapkv().name !== methods.snapkv().name) process.exit(1)`
  const { status, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', text], { cwd: root, encoding: 'utf8' })
  assert.is(status, 0, stderr)
})

test('sizes', () => {
  for (const [name, bytes] of [...builds.flatMap(build => [[build, most.wasm], [`${build}-threads`, most.wasm]] as const), ['probe', most.probe] as const]) {
    const wasm = statSync(join(root, 'build', `${name}.wasm`)).size
    assert.ok(wasm <= bytes, `${name}.wasm must have at most ${bytes} bytes, got ${wasm}`)
  }
  const { stdout } = spawnSync('npm', ['pack', '--dry-run', '--json', '--ignore-scripts'], { cwd: root, encoding: 'utf8', shell: process.platform === 'win32' })
  // A list in older versions of npm, an object by name in newer ones.
  const [packed] = Object.values(JSON.parse(stdout)) as [{ size: number; unpackedSize: number; files: { path: string }[] }]
  assert.ok(packed.size <= most.packed, `the package must have at most ${most.packed} bytes, got ${packed.size}`)
  assert.ok(packed.unpackedSize <= most.unpacked, `unpacked it must have at most ${most.unpacked} bytes, got ${packed.unpackedSize}`)
  const paths = packed.files.map(file => file.path)
  for (const path of ['LICENSE', 'README.md', 'package.json', 'dist/cli.js', 'models/tiny-retrieval.gguf']) assert.ok(paths.includes(path), path)
  for (const path of paths) assert.not.match(path, /^(test|bench|node_modules|\.)|\.py$/)
})

test.run()
