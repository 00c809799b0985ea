import { modelPath } from './source.ts'
import { outputFlags, usageError, type Command, type Input } from './options.ts'
import { bytesText, print, printJson, progressBar, say, table } from './output.ts'
import { forget, modelsFolder, stored, type Stored } from './store.ts'

const record = ({ name, bytes, complete, paths }: Stored) => ({ name, bytes, complete, paths })

async function list(input: Input): Promise<void> {
  const all = await stored()
  if (input.on('json')) return printJson({ folder: modelsFolder(), models: all.map(record) })
  if (all.length) await print(`${table(all.map(({ name, bytes, complete }) => [name, bytesText(bytes), complete ? '' : 'not whole: ask for it again to go on']), { left: 1 })}\n`)
  if (!input.on('quiet')) say(`${all.length} models, ${bytesText(all.reduce((sum, model) => sum + model.bytes, 0))} in ${modelsFolder()}`)
}

/** The models that a name means: itself, or what begins with it up to a slash or a colon. */
function meant(all: readonly Stored[], name: string): Stored[] {
  const found = all.filter(model => model.name === name || model.name.startsWith(`${name}/`))
  if (!found.length) throw usageError(`models remove must name a model that is there: ${all.map(model => model.name).join(', ') || 'there are none'}; got ${name}`)
  return found
}

async function remove(input: Input, names: readonly string[]): Promise<void> {
  if (!names.length) throw usageError('models remove must have a name, got none')
  const all = await stored(), gone = [...new Set(names.flatMap(name => meant(all, name)))]
  for (const model of gone) await forget(model)
  if (input.on('json')) return printJson({ removed: gone.map(record) })
  if (!input.on('quiet')) for (const { name, bytes } of gone) say(`removed ${name}, ${bytesText(bytes)}`)
}

async function get(input: Input, names: readonly string[]): Promise<void> {
  if (!names.length) throw usageError('models get must have a name, got none')
  const paths: string[] = []
  for (const name of names) {
    const bar = progressBar('downloading', 'MB', !input.on('quiet'))
    paths.push(await modelPath(name, { signal: input.signal, progress: (done, total) => bar.update(done / 1e6, total / 1e6) }).finally(bar.stop))
  }
  await (input.on('json') ? printJson({ paths }) : print(`${paths.join('\n')}\n`))
}

export const models: Command = {
  name: 'models',
  summary: 'Lists, gets or removes downloaded models',
  usage: '[list | get NAME… | remove NAME…]',
  examples: ['models', 'models get hf:owner/repo:Q4_K_M', 'models remove hf:owner/repo'],
  flags: outputFlags,
  async run(input) {
    const [what = 'list', ...names] = input.words
    switch (what) {
      case 'list':
        if (names.length) throw usageError(`models list must stand alone, got ${names[0]}`)
        return list(input)
      case 'get': return get(input, names)
      case 'remove': return remove(input, names)
      default: throw usageError(`models must be list, get or remove, got ${what}`)
    }
  },
}
