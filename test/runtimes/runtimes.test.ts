// One answer, the same bits: in every runtime, build and number of threads. A runtime that is not installed is skipped by name.
import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { promisify } from 'node:util'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { serve } from './server.ts'

interface Row {
  readonly build: string; readonly missing?: string; readonly threads: number; readonly used: number; readonly barriers: number
  readonly method: string; readonly tokens: number; readonly text: string; readonly right: boolean; readonly hash: string
}

const here = fileURLToPath(new URL('.', import.meta.url)), root = join(here, '..', '..')
const installed = (...parts: string[]): string => join(here, 'node_modules', ...parts)
const builder = await promisify(execFile)(process.execPath, [join(root, 'scripts', 'build.mjs')])
if (builder.stderr) console.error(builder.stderr)

/** Programs and what stands before the script. */
const programs: Readonly<Record<string, readonly string[]>> = {
  'this Node': [process.execPath],
  'Node 22': [installed('node22', 'bin', 'node')],
  'Node 24': [installed('node24', 'bin', 'node')],
  Deno: [installed('@deno', 'linux-x64-glibc', 'deno'), 'run', '--no-prompt', '--allow-read', '--allow-env', '--allow-sys'],
  Bun: [installed('@oven', 'bun-linux-x64', 'bin', 'bun')],
}
const browsers = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome']
/** Longer than the slowest takes, by much: a program that does not end by itself is stopped here, and fails. */
const patienceMs = 120_000

const test = suite('runtimes')

/** Two methods with one and two threads in every build that starts. used: threads that a wish for two gives. */
function check(name: string, rows: readonly Row[], used: number): void {
  const answers = rows.filter(row => row.missing === undefined)
  assert.is(answers.filter(row => row.build === 'simd').length, 4, `${name}: ${JSON.stringify(rows)}`)
  for (const row of answers) {
    const what = `${name}, ${row.build}, ${row.threads} threads, ${row.method}`
    assert.ok(row.right, `${what}: ${row.text}`)
    assert.is(row.used, Math.min(row.threads, used), what)
    assert.is(row.barriers > 0, row.used > 1, what)
    assert.is(row.hash, expected[row.method], what)
  }
}

async function run([program, ...before]: readonly string[]): Promise<Row[]> {
  const { stdout } = await promisify(execFile)(program!, [...before, join(here, 'answer.mjs')], { timeout: patienceMs, cwd: root })
  return JSON.parse(stdout) as Row[]
}

const first = await run(programs['this Node']!)
const expected: Record<string, string> = Object.fromEntries(first.slice(0, 2).map(({ method, hash }) => [method, hash]))

function only(present: boolean, name: string, why: string, body: () => Promise<void>): void {
  if (present) return void test(name, body)
  console.log(`SKIP ${name}: ${why}`)
  test.skip(name, () => {})
}

test('this Node', () => check('this Node', first, 2))

for (const [name, command] of Object.entries(programs).slice(1))
  only(existsSync(command[0]!), name, 'not installed (scripts/install.mjs does it on Linux x64)', async () => check(name, await run(command), 2))

interface Page { goto(url: string): Promise<unknown>; on(event: 'console', then: (message: { type(): string; text(): string }) => void): void; evaluate<T>(script: string): Promise<T> }
interface Chromium { launch(options: object): Promise<{ newPage(): Promise<Page>; close(): Promise<void> }> }

const executablePath = browsers.find(existsSync)
const driver = installed('playwright-core', 'index.mjs')
for (const isolated of [true, false]) {
  const name = `Chromium, a page that is ${isolated ? '' : 'not '}isolated`
  only(executablePath !== undefined && existsSync(driver), name, `${executablePath ? 'playwright-core' : 'chromium'} is not installed`, async () => {
    const { chromium } = await import(pathToFileURL(driver).href) as { chromium: Chromium }
    const server = await serve(isolated)
    const browser = await chromium.launch({ executablePath, args: ['--no-sandbox', '--disable-gpu', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'] })
    try {
      const page = await browser.newPage()
      const said: string[] = []
      page.on('console', message => said.push(message.text()))
      await page.goto(server.url)
      assert.is(await page.evaluate('crossOriginIsolated'), isolated)
      const rows = await page.evaluate<Row[]>(`(async () => {
        const { answers } = await import('/test/runtimes/answer.mjs')
        return answers(new Uint8Array(await (await fetch('/models/tiny-retrieval.gguf')).arrayBuffer()))
      })()`)
      check(name, rows, isolated ? 2 : 1)
      assert.is(said.length, isolated ? 0 : 1, said.join('\n'))
      if (!isolated) assert.match(said[0]!, /^threads: one runs, .* got 2$/)
    } finally {
      await browser.close()
      server.close()
    }
  })
}

test.run()
