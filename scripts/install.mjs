// Installs the exact dependencies of package-lock.json when they are not there yet. `node scripts/install.mjs runtimes` also installs, on
// Linux x64, the runtimes of test/runtimes; what cannot be had there is skipped by its tests, by name.
import { spawnSync } from 'node:child_process'
import { existsSync, statSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const npm = process.platform === 'win32' ? 'npm.cmd' : 'npm'

/** npm's exit code; 0 where all is there already. */
function install(folder, ...flags) {
  const installed = join(folder, 'node_modules', '.package-lock.json')
  if (existsSync(installed) && statSync(installed).mtimeMs >= statSync(join(folder, 'package-lock.json')).mtimeMs) return 0
  return spawnSync(npm, ['ci', '--no-audit', '--no-fund', ...flags], { cwd: folder, stdio: 'inherit' }).status ?? 1
}

const status = install(root)
if (status !== 0) process.exit(status)

if (process.argv[2] === 'runtimes' && process.platform === 'linux' && process.arch === 'x64') {
  // Their programs are in the packages; the packages' own scripts only move them.
  if (install(join(root, 'test', 'runtimes'), '--ignore-scripts') !== 0) console.error('the runtimes of test/runtimes are not installed: npm failed')
  const apt = (...words) => spawnSync('apt-get', ['-qq', ...words], { stdio: ['ignore', 'ignore', 'inherit'], env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' } }).status === 0
  if (!existsSync('/usr/bin/chromium') && process.getuid() === 0 && existsSync('/usr/bin/apt-get')
    && !(apt('update') && apt('install', '-y', '--no-install-recommends', 'chromium'))) console.error('chromium is not installed: apt-get failed')
}
