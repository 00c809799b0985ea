import { fileURLToPath } from 'node:url'
import { inspect, mostBytes, type Inspected } from '../load.ts'
import { readConfig } from '../model/config.ts'
import { refuseHeavy } from '../model/fitting.ts'
import { findTensors } from '../model/weights.ts'
import { partNames } from '../gguf/index.ts'
import { tokenizer } from '../tokenizer/index.ts'
import { download } from './download.ts'
import { isUrl, offline, urlOf } from './files.ts'
import { headersFor, hubFiles, type Remote } from './hub.ts'
import { usageError } from './options.ts'
import { isThere, notHere, placeOf } from './store.ts'

/** The embedded model, beside the package's code. */
const embedded = new URL('../../models/tiny-retrieval.gguf', import.meta.url)

/** What `--model` names: a path here, or files somewhere else. */
async function locate(name: string, signal: AbortSignal): Promise<string | Remote[]> {
  if (name === 'demo') return fileURLToPath(embedded)
  if (name === '') throw usageError('--model must be a path, a URL, hf:owner/repo[/file.gguf][:quant] or demo, got nothing')
  if (name.startsWith('hf:')) return hubFiles(name, offline(), { signal })
  if (!isUrl(name)) return name
  return partNames(urlOf(name).href).map(part => new URL(part)).map(url => ({ url, place: placeOf(url) }))
}

const allThere = async (files: readonly Remote[]): Promise<boolean> => (await Promise.all(files.map(file => isThere(file.place)))).every(Boolean)

async function refuseOffline(name: string): Promise<void> {
  if (offline()) throw await notHere(name)
}

/** A file's header: of its copy here, or read from where it is, and nothing else of it. */
export async function headerOf(name: string | undefined, signal: AbortSignal): Promise<Inspected> {
  const found = await locate(name ?? 'demo', signal)
  if (typeof found === 'string') return inspect(found, signal)
  if (await allThere(found)) return inspect(found[0]!.place, signal)
  await refuseOffline(name!)
  return inspect(found.map(file => file.url), signal, headersFor(found[0]!.url))
}

export interface Getting { readonly signal: AbortSignal; readonly progress: (done: number, total: number) => void }

/** The path of a model; one that is elsewhere is downloaded first, once its header has shown that it runs here. */
export async function modelPath(name: string | undefined, { signal, progress }: Getting): Promise<string> {
  const found = await locate(name ?? 'demo', signal)
  if (typeof found === 'string') return found
  if (await allThere(found)) return found[0]!.place
  await refuseOffline(name!)
  const { header, size } = await inspect(found.map(file => file.url), signal, headersFor(found[0]!.url))
  refuseHeavy(findTensors(header, readConfig(header)), mostBytes)
  tokenizer(header.metadata)
  let before = 0
  for (const { url, place } of found) {
    let own = 0
    if (!await isThere(place)) await download(url, place, { signal, headers: headersFor(url), progress: (done, total) => { own = total; progress(before + done, size) } })
    before += own
  }
  return found[0]!.place
}
