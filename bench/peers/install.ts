import { spawnSync } from 'node:child_process'
import { copyFileSync, existsSync, mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const here = fileURLToPath(new URL('.', import.meta.url)), folder = fileURLToPath(new URL('../../build/peers', import.meta.url))
const files = ['package.json', 'package-lock.json', '.npmrc']

/** Installs the peers where the build's outputs lie, once for every state of their lock; gives back their node_modules. */
export function installPeers(say: (text: string) => void): string {
  const modules = join(folder, 'node_modules')
  const same = files.every(name => existsSync(join(folder, name)) && readFileSync(join(folder, name), 'utf8') === readFileSync(join(here, name), 'utf8'))
  if (same && existsSync(join(modules, '.package-lock.json'))) return modules
  say('# installing the peers: about 130 MB')
  mkdirSync(folder, { recursive: true })
  for (const name of files) copyFileSync(join(here, name), join(folder, name))
  const npm = process.platform === 'win32' ? 'npm.cmd' : 'npm'
  // Not ci: it refuses a lock that has no places for the other systems' binaries, which are left out.
  const { status } = spawnSync(npm, ['install', '--no-save', '--no-audit', '--no-fund'], { cwd: folder, stdio: ['ignore', 'ignore', 'inherit'] })
  if (status !== 0) throw new Error(`npm install of the peers must succeed, got exit code ${status}`)
  return modules
}
