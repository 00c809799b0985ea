import { fault } from '../cache/fault.ts'
import { partNames } from '../gguf/index.ts'
import { usageError } from './options.ts'
import { askJson, type Asking } from './remote.ts'
import { notHere, placeOfHub, stored } from './store.ts'

/** A file somewhere else, and its place here. */
export interface Remote { readonly url: URL; readonly place: string }

/** Quantisations that serve best where none is asked for: small, and close to the original. */
const preferred = ['Q4_K_M', 'Q4_1', 'Q4_0', 'Q5_K_M', 'Q8_0']

const endpoint = (): string => (process.env['HF_ENDPOINT'] || 'https://huggingface.co').replace(/\/+$/, '')

/** What proves to the hub, or its mirror, who asks; nothing for other servers. */
export function headersFor(url: URL): Record<string, string> {
  const token = process.env['HF_TOKEN']
  return token && URL.canParse(endpoint()) && url.origin === new URL(endpoint()).origin ? { Authorization: `Bearer ${token}` } : {}
}

interface Named { readonly owner: string; readonly repo: string; readonly path: readonly string[]; readonly quant: string | null }

/** `hf:owner/repo`, with a file, or with a quantisation behind a colon. */
function parse(name: string): Named {
  const must = (): Error => usageError(`--model must be hf:owner/repo, hf:owner/repo/file.gguf or hf:owner/repo:QUANT, got ${name}`)
  const [, body = '', quant = null] = /^hf:([^:]*)(?::(.*))?$/s.exec(name) ?? []
  const [owner, repo, ...path] = body.split('/')
  if (!owner || !repo || path.includes('') || [owner, repo, ...path].some(part => part === '.' || part === '..') || quant === '' || quant !== null && path.length) throw must()
  return { owner, repo, path, quant }
}

const fileOf = ({ owner, repo }: Named, path: readonly string[]): Remote => ({
  url: new URL(`${endpoint()}/${[owner, repo, 'resolve', 'main', ...path].map(encodeURIComponent).join('/')}`), place: placeOfHub(owner, repo, path),
})

/** The quantisation in a file's name, as it is written there: the last part of it that looks like one. */
export function quantOf(name: string): string | null {
  const base = partNames(name)[0]!.replace(/-00001-of-\d+/, '').replace(/\.gguf$/i, '')
  return [...base.matchAll(/(?:^|[-._/])((?:UD-)?(?:I?Q\d\w*|[BF]F?16|F32|FP(?:16|32)|MXFP4\w*))(?=$|[-._/])/gi)].at(-1)?.[1] ?? null
}

/** Models first of which is a name; projectors and adapters are none. */
const models = (files: readonly string[]): string[] => files.filter(file => /\.gguf$/i.test(file) && partNames(file)[0] === file && !/(^|\/)(mmproj|imatrix)|lora/i.test(file))

/** The file that a quantisation names, or that serves best. */
export function choose(files: readonly string[], quant: string | null, name: string): string {
  const all = models(files)
  if (!all.length) throw fault('model', `${name} must hold a GGUF file, got none`)
  const quants = [...new Set(all.map(quantOf).filter(found => found !== null))]
  const of = (wanted: string): string | undefined => all.find(file => quantOf(file)?.toUpperCase() === wanted.toUpperCase())
  const found = quant === null ? all.length === 1 ? all[0] : preferred.map(of).find(file => file !== undefined) : of(quant)
  if (found !== undefined) return found
  if (quant !== null) throw fault('model', `${name} must name a quantisation that is there: ${quants.join(', ') || 'none is named'}; got ${quant}`)
  throw fault('model', `${name} must say which file, got ${all.length}: ${quants.length ? quants.map(q => `${name}:${q}`).join(', ') : all.slice(0, 8).map(file => `${name}/${file}`).join(', ')}`)
}

/** Names of a repository's files. */
async function list({ owner, repo }: Named, asking: Asking): Promise<string[]> {
  const url = new URL(`${endpoint()}/api/models/${encodeURIComponent(owner)}/${encodeURIComponent(repo)}`)
  const answer = await askJson(url, { ...asking, headers: headersFor(url) }) as { siblings?: unknown } | null
  if (!Array.isArray(answer?.siblings)) throw fault('model', `${url.origin + url.pathname} must list files under siblings, got none`)
  return answer.siblings.map(file => (file as { rfilename?: unknown } | null)?.rfilename).filter(file => typeof file === 'string')
}

/** The files of the hub that a name means, all parts of them. offline: of those that are here. */
export async function hubFiles(name: string, offline: boolean, asking: Asking): Promise<Remote[]> {
  const named = parse(name)
  const files = named.path.length ? [] : offline ? await here(named) : await list(named, asking)
  if (offline && !named.path.length && !files.length) throw await notHere(name)
  const path = named.path.length ? named.path.join('/') : choose(files, named.quant, `hf:${named.owner}/${named.repo}`)
  return partNames(path).map(part => fileOf(named, part.split('/')))
}

/** Files of a repository that were downloaded. */
async function here({ owner, repo }: Named): Promise<string[]> {
  const start = `hf:${owner}/${repo}/`
  return (await stored()).filter(model => model.complete && model.name.startsWith(start)).map(model => model.name.slice(start.length))
}
