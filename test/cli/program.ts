// Runs the built program as a user does, and serves files to it.
import { spawn, spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('../..', import.meta.url))
const program = join(root, 'dist', 'cli.js')

// Nothing to do where everything is newer than its sources.
const built = spawnSync(process.execPath, [join(root, 'scripts', 'build.mjs')], { encoding: 'utf8' })
if (built.status !== 0) throw new Error(`the build must succeed before its program is tested, got ${built.stderr}`)

const folder = mkdtempSync(join(tmpdir(), 'pocketkv-cli-'))
process.on('exit', () => rmSync(folder, { recursive: true, force: true }))

export interface Ended { readonly code: number | null; readonly out: string; readonly err: string }

interface Running {
  /** After the text `until` was seen on standard output. */
  until(seen: (out: string) => boolean): Promise<void>
  interrupt(): void
  /** More of its standard input, where that was left open. */
  type(text: string): void
  /** Its standard output so far. */
  out(): string
  /** Closes the reading end of its standard output. */
  hangUp(): void
  readonly ended: Promise<Ended>
}

/** Longest that any call here may take, on a busy machine; what hangs fails by its exit code null. */
const patienceMs = 120_000

/** Starts `pocketkv args`. input: all of its standard input; null leaves that open. */
export function start(args: readonly string[], { input = '', env = {} }: { input?: string | Uint8Array | null; env?: Record<string, string> } = {}): Running {
  const child = spawn(process.execPath, [program, ...args], { env: { ...process.env, POCKETKV_HOME: join(folder, 'home'), ...env }, timeout: patienceMs, killSignal: 'SIGKILL' })
  let out = '', err = '', changed = (): void => {}
  child.stdout.setEncoding('utf8').on('data', (text: string) => { out += text; changed() })
  child.stderr.setEncoding('utf8').on('data', (text: string) => { err += text })
  child.stdin.on('error', () => {})
  if (input !== null) child.stdin.end(input)
  const ended = new Promise<Ended>(done => child.on('close', code => { changed(); done({ code, out, err }) }))
  return {
    ended,
    out: () => out,
    type: text => void child.stdin.write(text),
    hangUp: () => void child.stdout.destroy(),
    interrupt: () => void child.kill('SIGINT'),
    async until(seen) {
      while (!seen(out) && child.exitCode === null) await new Promise<void>(done => changed = done)
    },
  }
}

export const cli = (args: readonly string[], options: Parameters<typeof start>[1] = {}): Promise<Ended> => start(args, options).ended

/** The JSON document of a call that must succeed. */
export async function json(...args: string[]): Promise<any> {
  const { code, out, err } = await cli([...args, '--json'])
  if (code !== 0) throw new Error(`pocketkv ${args.join(' ')} must end with 0, got ${code}: ${err}`)
  return JSON.parse(out)
}

/** A path in a folder that goes away with the test; filled where there is something to fill it with. */
export function file(name: string, data?: string | Uint8Array): string {
  const path = join(folder, name)
  if (data !== undefined) writeFileSync(path, data)
  return path
}

/** Serves files by name, with ranges. stall: bytes of a range after which nothing more comes. */
export async function serve(files: Record<string, Uint8Array | string>, { stall = Infinity, asked = () => {} }: { stall?: number; asked?: (url: string) => void } = {}): Promise<{ url: string; close(): void }> {
  const server: Server = createServer((request, answer) => {
    asked(request.url ?? '')
    const found = files[decodeURIComponent((request.url ?? '').slice(1))]
    if (found === undefined) return void answer.writeHead(404).end('no')
    const data = Buffer.from(found as string)
    const range = /bytes=(\d+)-(\d*)/.exec(request.headers.range ?? '')
    const from = range ? Number(range[1]) : 0, to = Math.min(range?.[2] ? Number(range[2]) + 1 : data.length, data.length)
    answer.writeHead(range ? 206 : 200, { 'content-length': to - from, 'accept-ranges': 'bytes', ...range ? { 'content-range': `bytes ${from}-${to - 1}/${data.length}` } : {} })
    if (request.method === 'HEAD') return void answer.end()
    if (to > stall) answer.write(data.subarray(from, Math.max(from, Math.min(to, stall))))
    else answer.end(data.subarray(from, to))
  })
  await new Promise<void>(done => server.listen(0, '127.0.0.1', done))
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, close() { server.closeAllConnections(); server.close() } }
}
