// The relaxed build: what it may contain, when it is chosen, and that nobody can tell it from the simd build by its results.
import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { choose, relaxedFault, wrongSum, type Dots } from '../../src/wasm/choose.ts'
import { wasm } from '../../src/wasm/index.ts'
import { opcodes } from './opcodes.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))
const fault = await relaxedFault()
const reject = async (made: Promise<unknown>): Promise<Error & { code?: string }> => made.then(() => assert.unreachable('must be refused'), error => error)

/** i32x4.relaxed_dot_i8x16_i7x16_add_s; all relaxed instructions are from 0x100 to 0x113, and only integer dots are the same everywhere. */
const relaxedDot = 0xfd0113
const relaxedOf = (name: string): number[] => [...opcodes(readFileSync(join(root, 'build', `${name}.wasm`)))].filter(op => op >= 0xfd0100 && op < 0xfd0200)

for (const name of ['relaxed', 'relaxed-threads', 'probe'])
  test(`${name}: the dot is its only relaxed instruction`, () => assert.equal(relaxedOf(name), [relaxedDot]))
for (const name of ['simd', 'simd-threads'])
  test(`${name}: no relaxed instruction`, () => assert.equal(relaxedOf(name), []))

test('the best build that works is chosen, and the other can be forced', async () => {
  assert.is(await choose(), fault === undefined ? 'relaxed' : 'simd')
  assert.is((await wasm()).build, await choose())
  assert.is((await wasm({ build: 'simd' })).build, 'simd')
})

test('relaxed is refused where it is wrong', async () => {
  if (fault === undefined) return assert.is((await wasm({ build: 'relaxed' })).build, 'relaxed')
  const { code, message } = await reject(wasm({ build: 'relaxed' }))
  assert.is(code, 'backend')
  assert.match(message, /^build relaxed must run where i32x4\.relaxed_dot_i8x16_i7x16_add_s is exact, got /)
})

test('a given module must be the build that is asked for', async () => {
  const module = await WebAssembly.compile(readFileSync(join(root, 'build', 'simd.wasm')))
  assert.is((await wasm({ module })).build, 'simd')
  const { code, message } = await reject(wasm({ module, build: 'relaxed' }))
  assert.equal([code, message], ['usage', 'build must be simd as the given module is, got relaxed'])
})

/** Dots in plain numbers, each with something wrong. */
const broken: Readonly<Record<string, (sum: number, products: readonly number[]) => number>> = {
  'what was summed before is lost': (_, p) => 2 * p.reduce((a, b) => a + b, 0),
  'one product of four is left out': (sum, p) => p.slice(1).reduce((a, b) => a + b, sum),
  'the largest product is off by one': (sum, p) => p.reduce((a, b) => a + b, sum) + Number(p.includes(-128 * 127)),
}
test('the probe tells wrong dots from right ones', () => {
  const memory = new WebAssembly.Memory({ initial: 1 })
  const dots = (sum: (sum: number, products: readonly number[]) => number): Dots => (sums, a, b, n) => {
    const s = new Int32Array(memory.buffer, sums, 4 * n), x = new Int8Array(memory.buffer, a, 16 * n), y = new Int8Array(memory.buffer, b, 16 * n)
    for (let i = 0; i < 4 * n; i++) s[i] = sum(s[i]!, [0, 1, 2, 3].map(j => x[4 * i + j]! * y[4 * i + j]!))
  }
  assert.is(wrongSum(dots((sum, p) => p.reduce((a, b) => a + b, sum)), memory, 100), undefined)
  assert.ok(new Uint8Array(memory.buffer).every(byte => byte === 0))
  for (const [name, sum] of Object.entries(broken)) assert.type(wrongSum(dots(sum), memory, 100), 'string', name)
})

/** Runs a TypeScript program of the tests and gives back what it said. */
function program(node: string, flags: readonly string[], file: string, env: Readonly<Record<string, string>> = {}): void {
  const { status, stdout, stderr } = spawnSync(node, [...flags, '--import', 'tsx', join('test', 'kernels', file)], { cwd: root, encoding: 'utf8', env: { ...process.env, ...env } })
  assert.is(status, 0, `${file} in ${node}: ${stdout}${stderr}`)
}

if (process.versions.node.startsWith('20.') && !process.execArgv.includes('--experimental-wasm-relaxed-simd'))
  test('V8 11.3 takes the instruction behind a flag and gets it wrong', () => {
    const text = `import { relaxedFault, choose } from ${JSON.stringify(join(root, 'src', 'wasm', 'choose.ts'))}
      console.log(await choose(), await relaxedFault())`
    const { stdout, stderr } = spawnSync(process.execPath, ['--experimental-wasm-relaxed-simd', '--import', 'tsx', '--input-type=module', '-e', text], { cwd: root, encoding: 'utf8' })
    assert.match(stdout, /^simd -?\d+ for -?\d+\n$/, stderr)
  })

/** A runtime where relaxed dots are right: this one, or the newer Node that test/runtimes installs. */
const runtime = fault === undefined ? process.execPath : [join(root, 'test', 'runtimes', 'node_modules', 'node24', 'bin', 'node')].find(existsSync)

function elsewhere(name: string, body: (node: string) => void): void {
  if (runtime !== undefined) return test(name, () => body(runtime))
  console.log(`SKIP ${name}: relaxed dots are not exact in Node ${process.versions.node}, and test/runtimes has no node24`)
  test.skip(name, () => {})
}

elsewhere('the bits are those of the simd build', node => program(node, [], 'sameBits.ts'))
// Threads and this file start builds of their own choice.
for (const file of readdirSync(join(root, 'test', 'kernels')).filter(name => name.endsWith('.test.ts') && !['relaxed.test.ts', 'threads.test.ts'].includes(name)).sort())
  elsewhere(`${file} under the relaxed build`, node => program(node, [], file, { BACKENDS: 'relaxed' }))

test.run()
