// Runs every test/**/*.test.ts in a process of its own (two at a time) and adds up what uvu counted.
// `node scripts/test.mjs kernels gguf` runs only files whose path contains one of the words.
import { spawn } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const words = process.argv.slice(2)
const files = readdirSync(join(root, 'test'), { recursive: true }).map(name => join('test', String(name)))
  .filter(name => name.endsWith('.test.ts') && !name.includes('node_modules') && (!words.length || words.some(word => name.includes(word)))).sort()

const total = { passed: 0, failed: 0, skipped: 0 }

/** Runs one program and adds its counts; a program that dies without counting is one failure. */
function run(name, args) {
  return new Promise(done => {
    const started = performance.now()
    const child = spawn(process.execPath, args, { cwd: root, env: { ...process.env, NO_COLOR: '1', FORCE_COLOR: '0' } })
    let text = ''
    child.stdout.on('data', data => { text += data })
    child.stderr.on('data', data => { text += data })
    child.on('close', code => {
      const count = word => [...text.matchAll(new RegExp(`^\\s+${word}:\\s+(\\d+)`, 'gm'))].reduce((sum, m) => sum + Number(m[1]), 0)
      const ran = count('Total'), passed = count('Passed'), skipped = count('Skipped')
      const failed = code === 0 && ran + skipped > 0 ? 0 : Math.max(1, ran - passed)
      total.passed += passed
      total.failed += failed
      total.skipped += skipped
      console.log(`${failed ? 'FAIL' : 'ok  '} ${name}  ${passed} passed${skipped ? `, ${skipped} skipped` : ''}  ${((performance.now() - started) / 1000).toFixed(1)} s`)
      if (failed) console.log(text)
      else for (const line of text.split('\n')) if (line.startsWith('SKIP ')) console.log(`     ${line}`)
      done()
    })
  })
}

const jobs = files.map(file => () => run(relative(root, join(root, file)), ['--import', 'tsx', file]))
const workers = Array.from({ length: 2 }, async () => { for (let job; (job = jobs.shift());) await job() })
await Promise.all(workers)
console.log(`${total.passed} passed, ${total.failed} failed${total.skipped ? `, ${total.skipped} skipped` : ''}`)
process.exit(total.failed || !total.passed ? 1 : 0)
