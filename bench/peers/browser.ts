import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:http'
import { readFile } from 'node:fs/promises'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { delimiter, extname, join, normalize } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { gzipSync } from 'node:zlib'
import type { Engine } from './engine.ts'

const here = fileURLToPath(new URL('.', import.meta.url)), root = fileURLToPath(new URL('../..', import.meta.url))

/** Bytes of what a page fetched, the model left out, as files and compressed. */
export interface Shipped { readonly bytes: number; readonly gzip: number }

export interface Browser {
  readonly version: string
  /** A page of its own process with an engine in it. */
  page(engine: 'ours' | 'wllama'): Promise<{ readonly engine: Engine; shipped(): Shipped }>
  close(): Promise<void>
}

/** The parts of playwright-core and esbuild that are used; neither is there when types are checked. */
interface Page {
  goto(url: string): Promise<unknown>
  evaluate<T>(expression: string): Promise<T>
  workers(): { evaluate<T>(expression: string): Promise<T> }[]
  on(event: 'pageerror', listener: (error: Error) => void): void
  close(): Promise<void>
}
interface Playwright { chromium: { launch(options: object): Promise<{ version(): string; newContext(): Promise<{ newPage(): Promise<Page> }>; close(): Promise<void> }> } }
interface Esbuild { build(options: object): Promise<unknown> }

const types: Readonly<Record<string, string>> = { '.js': 'text/javascript', '.wasm': 'application/wasm', '.html': 'text/html' }

/** Chromium as it is installed: $CHROMIUM, else the first of its names on the PATH. */
function findChromium(): string {
  const folders = (process.env['PATH'] ?? '').split(delimiter)
  const names = ['chromium', 'chromium-browser', 'google-chrome-stable', 'google-chrome']
  const found = process.env['CHROMIUM'] ?? names.flatMap(name => folders.map(folder => join(folder, name))).find(path => existsSync(path))
  if (!found) throw new Error(`Chromium must be on the PATH (${names.join(', ')}) or in $CHROMIUM, got neither`)
  return found
}

/** Our built package as a page loads it, and the bench's own pages, into a folder. */
async function bundle(esbuild: Esbuild): Promise<string> {
  const out = mkdtempSync(join(tmpdir(), 'pocketkv-peers-'))
  const options = { bundle: true, format: 'esm', minify: true, platform: 'browser', external: ['node:*'], logLevel: 'error' }
  await esbuild.build({ ...options, splitting: true, entryPoints: [join(root, 'dist/index.js'), join(root, 'dist/wasm/index.js')], outbase: join(root, 'dist'), outdir: join(out, 'pocketkv') })
  await esbuild.build({ ...options, entryPoints: ['ours', 'wllama', 'worker'].map(name => join(here, 'page', `${name}.ts`)), outdir: join(out, 'bench') })
  return out
}

/** Serves files to isolated pages and counts what each origin's pages fetched, by the first folder of their paths. */
async function serve(folders: Readonly<Record<string, string>>, model: string) {
  const fetched = new Map<string, Shipped>()
  const server = createServer((request, response) => {
    const { pathname } = new URL(request.url ?? '/', 'http://localhost')
    const headers = {
      'content-type': types[extname(pathname)] ?? 'application/octet-stream', 'cache-control': 'no-store',
      'cross-origin-opener-policy': 'same-origin', 'cross-origin-embedder-policy': 'require-corp', 'cross-origin-resource-policy': 'same-origin',
    }
    const [, folder = '', ...rest] = normalize(pathname).split('/')
    if (folder === 'page') {
      response.writeHead(200, { ...headers, 'content-type': 'text/html' })
      response.end(`<!doctype html><title>bench</title><link rel=icon href=data:,><script type=module src=/bench/${rest[0] ?? ''}.js></script>`)
      return
    }
    const path = pathname === '/model.gguf' ? model : folders[folder] ? join(folders[folder], ...rest) : ''
    readFile(path).then(data => {
      if (path !== model) fetched.set(pathname, { bytes: data.length, gzip: gzipSync(data, { level: 9 }).length })
      response.writeHead(200, { ...headers, 'content-length': data.length })
      response.end(data)
    }, () => {
      response.writeHead(404, headers)
      response.end()
    })
  })
  await new Promise<void>(done => { server.listen(0, '127.0.0.1', done) })
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    shipped: (folder: string): Shipped => [...fetched].filter(([path]) => path.startsWith(`/${folder}/`))
      .reduce((sum, [, part]) => ({ bytes: sum.bytes + part.bytes, gzip: sum.gzip + part.gzip }), { bytes: 0, gzip: 0 }),
    close() {
      server.closeAllConnections()
      server.close()
    },
  }
}

/** Headless Chromium beside a server of the bundle, of wllama and of the model. modules: where the peers are installed. */
export async function openBrowser(modules: string, model: string): Promise<Browser> {
  const module = async <T>(path: string): Promise<T> => {
    const found = await import(pathToFileURL(join(modules, path)).href) as T & { readonly default?: T }
    return found.default ?? found
  }
  const files = await bundle(await module<Esbuild>('esbuild/lib/main.js'))
  const server = await serve({ pocketkv: join(files, 'pocketkv'), bench: join(files, 'bench'), wllama: join(modules, '@wllama/wllama/esm') }, model)
  const { chromium } = await module<Playwright>('playwright-core/index.mjs')
  const browser = await chromium.launch({
    executablePath: findChromium(), headless: true,
    // The last three: all pages but the newest count as hidden, and would run at a lower priority.
    args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync',
      '--disable-renderer-backgrounding', '--disable-backgrounding-occluded-windows', '--disable-background-timer-throttling'],
  }).catch((error: unknown) => {
    server.close()
    throw error
  })
  return {
    version: browser.version(),
    async page(name) {
      const page = await (await browser.newContext()).newPage()
      let broken: Error | undefined
      page.on('pageerror', error => { broken = error })
      await page.goto(`${server.url}/page/${name}`)
      const call = async <T>(call: keyof Engine, given: object = {}): Promise<T> => {
        if (broken) throw broken
        return page.evaluate<T>(`engine.${call}(${JSON.stringify(given)})`)
      }
      const engine: Engine = {
        open: ({ model: _, ...setup }) => call('open', { ...setup, model: '/model.gguf' }),
        async run(task) {
          const ran = await call<Awaited<ReturnType<Engine['run']>>>('run', task)
          if (name === 'ours') return ran
          // Its linear memory never shrinks: what it has now is what it had at most.
          const bytes = await Promise.all(page.workers().map(worker => worker.evaluate<number>('globalThis.linearMemory?.buffer.byteLength ?? 0')))
          return { ...ran, memoryBytesPeak: Math.max(0, ...bytes) }
        },
        async close() {
          await call('close').catch(() => {})
          await page.close()
        },
      }
      return { engine, shipped: () => server.shipped(name === 'ours' ? 'pocketkv' : 'wllama') }
    },
    async close() {
      await browser.close()
      server.close()
      rmSync(files, { recursive: true })
    },
  }
}
