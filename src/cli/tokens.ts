import { tokenizer, type Tokenizer } from '../tokenizer/index.ts'
import { readText } from './files.ts'
import { modelFlag, outputFlags, usageError, type Command, type Input } from './options.ts'
import { print, printJson } from './output.ts'
import { headerOf } from './source.ts'

async function vocabularyOf(input: Input): Promise<Tokenizer> {
  const { header } = await headerOf(input.text('model'), input.signal)
  return tokenizer(header.metadata)
}

export const tokenize: Command = {
  name: 'tokenize',
  summary: "Turns a text into the model's token ids, a JSON array",
  usage: '[--model M] [--no-special] TEXT|-',
  examples: ['tokenize --model model.gguf "Hello world"', 'tokenize --model model.gguf - < book.txt'],
  flags: { ...modelFlag, 'no-special': { type: 'boolean', help: 'read special strings as text' }, ...outputFlags },
  async run(input) {
    const [text, extra] = input.words
    if (text === undefined || extra !== undefined) throw usageError(`tokenize takes one text or -, got ${input.words.length}`)
    const words = await vocabularyOf(input)
    await printJson(words.encode(text === '-' ? await readText('-', input) : text, { special: !input.on('no-special') }))
  },
}

export const detokenize: Command = {
  name: 'detokenize',
  summary: 'Turns token ids into text',
  usage: '[--model M] IDS…',
  examples: ['detokenize --model model.gguf 504 3575 282 4649', 'detokenize --model model.gguf "[504,3575]"'],
  flags: { ...modelFlag, ...outputFlags },
  async run(input) {
    const ids = input.words.flatMap(word => word.replace(/[[\]]/g, ' ').split(/[\s,]+/).filter(part => part !== ''))
    const words = await vocabularyOf(input)
    const bad = ids.find(id => !/^\d+$/.test(id) || Number(id) >= words.size)
    if (bad !== undefined) throw usageError(`ids must be whole numbers from 0 to ${words.size - 1}, got ${bad}`)
    const text = words.decode(ids.map(Number))
    await (input.on('json') ? printJson(text) : print(text))
  },
}
