import { chatTemplate, tokenizer, type Message } from '../tokenizer/index.ts'
import { readArray } from './files.ts'
import { modelFlag, outputFlags, usageError, type Command } from './options.ts'
import { templateFlags, templateOf } from './run.ts'
import { print, printJson } from './output.ts'
import { headerOf } from './source.ts'

export const template: Command = {
  name: 'template',
  summary: "Renders messages with the file's chat template",
  usage: '[--model M] [--no-generation-prompt] MESSAGES.json',
  examples: ['template --model model.gguf messages.json'],
  flags: { ...modelFlag, 'no-generation-prompt': { type: 'boolean', help: 'without the start of an answer' }, ...templateFlags, ...outputFlags },
  async run(input) {
    const [file, extra] = input.words
    if (file === undefined || extra !== undefined) throw usageError(`template takes one file of messages, got ${input.words.length}`)
    const messages = await readArray(file, input)
    const bad = messages.findIndex(m => typeof m !== 'object' || m === null || typeof (m as Message).role !== 'string' || typeof (m as Message).content !== 'string' && !Array.isArray((m as Message)['tool_calls']))
    if (bad >= 0) throw usageError(`${file} must hold messages with role and content, two texts, got ${JSON.stringify(messages[bad])} at ${bad}`)
    const { header } = await headerOf(input.text('model'), input.signal)
    const chat = chatTemplate(header.metadata, tokenizer(header.metadata))
    const text = chat(messages as Message[], { ...await templateOf(input), addGenerationPrompt: !input.on('no-generation-prompt') })
    await (input.on('json') ? printJson(text) : print(text))
  },
}
