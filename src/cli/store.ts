import { createHash } from 'node:crypto'
import { readdir, rm, rmdir, stat } from 'node:fs/promises'
import { homedir } from 'node:os'
import { dirname, join, sep } from 'node:path'
import { fault } from '../cache/fault.ts'
import { partNames } from '../gguf/index.ts'
import { originOf, originPath } from './download.ts'

/** Longest name that every file system takes, less what is put behind it. */
const nameBytesMax = 200

/** Where downloaded models lie: `POCKETKV_HOME`, or the place that XDG gives to caches. */
export const modelsFolder = (): string => {
  const { POCKETKV_HOME: own, XDG_CACHE_HOME: xdg } = process.env
  return join(own || join(xdg || join(homedir(), '.cache'), 'pocketkv'), 'models')
}

const short = (text: string): string => createHash('sha256').update(text).digest('hex').slice(0, 16)

/** A name as a folder or file takes it, on every system: no separators, nothing that only differs in what may not stand there. */
const safe = (name: string): string => {
  const plain = encodeURIComponent(name).replace(/%20/g, ' ').replace(/[*'()!~]|^\.+|[. ]$/g, c => [...c].map(x => `%${x.charCodeAt(0).toString(16)}`).join(''))
  return plain.length <= nameBytesMax ? plain : `${short(name)}-${plain.slice(-100).replace(/^%?.?%/, '')}`
}

/** Where the file behind a URL lies. A query names another file, and is not shown: it may hold a signature. */
export function placeOf(url: URL): string {
  const path = url.pathname.split('/').filter(part => part !== '').map(part => safe(decodeURIComponent(part)))
  return join(modelsFolder(), safe(url.host), ...url.search ? [short(url.search)] : [], ...path.length ? path : ['index'])
}

/** Where a file of the hub lies. */
export const placeOfHub = (owner: string, repo: string, path: readonly string[]): string => join(modelsFolder(), 'hf', ...[owner, repo, ...path].map(safe))

export const isThere = async (path: string): Promise<boolean> => (await originOf(path)) !== null && await stat(path).then(found => found.isFile(), () => false)

/** A model in the store. */
export interface Stored {
  /** As `--model` takes it. */
  readonly name: string
  /** Of all parts. */
  readonly bytes: number
  readonly complete: boolean
  readonly paths: readonly string[]
}

const decoded = (name: string): string => {
  try {
    return decodeURIComponent(name)
  } catch {
    return name
  }
}

/** `hf:owner/repo/file.gguf` of a place below `hf`; else the URL that the file came from. */
async function nameOf(path: string): Promise<string> {
  const parts = path.slice(modelsFolder().length + 1).split(sep).map(decoded)
  return parts[0] === 'hf' ? `hf:${parts.slice(1).join('/')}` : (await originOf(path))?.url ?? (await originOf(`${path}.part`))?.url ?? path
}

/** All models, by name; parts of one are one. */
export async function stored(): Promise<Stored[]> {
  const root = modelsFolder()
  const names = await readdir(root, { recursive: true }).catch(() => [] as string[])
  const files = names.filter(name => name.endsWith('.json')).map(name => join(root, name.slice(0, -'.json'.length)))
  const models = new Map<string, Stored>()
  for (const file of files.sort()) {
    const complete = !file.endsWith('.part'), path = complete ? file : file.slice(0, -'.part'.length)
    const bytes = await stat(file).then(found => found.size, () => 0)
    const all = partNames(path), key = all[0]!
    const before = models.get(key)
    models.set(key, {
      name: before?.name ?? await nameOf(path), bytes: (before?.bytes ?? 0) + bytes, paths: [...before?.paths ?? [], file],
      complete: (before?.complete ?? true) && complete,
    })
  }
  return [...models].map(([first, model]) => ({ ...model, complete: model.complete && model.paths.length === partNames(first).length }))
    .sort((a, b) => a.name < b.name ? -1 : 1)
}

/** Why a model cannot be had where nothing may be asked of a network. */
export async function notHere(name: string): Promise<Error> {
  const names = (await stored()).filter(model => model.complete).map(model => model.name)
  return fault('model', `${name} must be downloaded already where POCKETKV_OFFLINE is set; here are ${names.join(', ') || 'no models'}`)
}

/** Deletes a model, and the folders that it leaves empty. */
export async function forget({ paths }: Stored): Promise<void> {
  for (const path of paths) {
    await rm(path, { force: true })
    await rm(originPath(path), { force: true })
    for (let folder = dirname(path); folder.startsWith(modelsFolder() + sep); folder = dirname(folder)) if (!await rmdir(folder).then(() => true, () => false)) break
  }
}
