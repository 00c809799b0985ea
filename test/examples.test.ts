import { execFile } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { test } from 'uvu'
import * as assert from 'uvu/assert'

const run = promisify(execFile)
const root = fileURLToPath(new URL('..', import.meta.url))
const node = async (...args: string[]): Promise<string> => (await run(process.execPath, args, { cwd: root })).stdout

/** What an example must print, line by line. */
const expected: Record<string, RegExp[]> = {
  'attention.ts': [
    /^keeps 1180 of 4096 rows, reads 128 a step by 40 channels of pages of 3$/,
    /^kept rows of KV head 0: \d+(, \d+){5}, …$/,
    /^step 0 reads 128 rows; attention \[8, 64\] starts with -?0\.\d{4}$/,
    /^\d+ bytes held, \d+ under full attention$/,
  ],
}

test('every example is tested', () => assert.equal(readdirSync(join(root, 'examples')).filter(name => name.endsWith('.ts')), Object.keys(expected)))

for (const [name, lines] of Object.entries(expected))
  test(`examples/${name} runs against the built package`, async () => {
    await node('scripts/build.mjs')
    const got = (await node('--import', 'tsx', join('examples', name))).trim().split('\n')
    lines.forEach((line, i) => assert.match(got[i] ?? '', line))
    assert.is(got.length, lines.length)
  })

test.run()
