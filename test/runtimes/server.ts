import { createServer, type Server } from 'node:http'
import { readFile } from 'node:fs/promises'
import { extname, join, normalize } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { AddressInfo } from 'node:net'

const root = fileURLToPath(new URL('../..', import.meta.url))
const types: Readonly<Record<string, string>> = { '.js': 'text/javascript', '.mjs': 'text/javascript', '.gguf': 'application/octet-stream' }
/** Where a page finds what dist/ imports by name, as a bundler would. */
const imports = {
  '@assemblyscript/loader': '/node_modules/@assemblyscript/loader/index.js',
  '@huggingface/jinja': '/node_modules/@huggingface/jinja/dist/index.js',
  '@huggingface/tokenizers': '/node_modules/@huggingface/tokenizers/dist/tokenizers.mjs',
}
const page = `<!doctype html><link rel="icon" href="data:,"><script type="importmap">${JSON.stringify({ imports })}</script>`
const isolating = { 'cross-origin-opener-policy': 'same-origin', 'cross-origin-embedder-policy': 'require-corp' }

/** Serves an empty page and the repository's files to this machine. isolated: with the headers that let a page share memory. */
export async function serve(isolated: boolean): Promise<{ readonly url: string; close(): void }> {
  const server: Server = createServer(async (request, response) => {
    const { pathname } = new URL(request.url ?? '/', 'http://localhost')
    const headers = isolated ? isolating : {}
    if (pathname === '/') return response.writeHead(200, { ...headers, 'content-type': 'text/html' }).end(page)
    try {
      const type = types[extname(pathname)]
      if (!type) throw new RangeError(`a file must end in ${Object.keys(types).join(', ')}, got ${pathname}`)
      const body = await readFile(join(root, normalize(pathname)))
      response.writeHead(200, { ...headers, 'content-type': type }).end(body)
    } catch {
      response.writeHead(404, headers).end()
    }
  })
  await new Promise<void>(done => server.listen(0, '127.0.0.1', done))
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`, close: () => void server.close() }
}
