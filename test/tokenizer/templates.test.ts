// Templates in the style of public families, rendered as Python's Jinja renders them under transformers' settings.
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { chatTemplate, type Chat, type Message } from '../../src/tokenizer/index.ts'
import { golden } from './files.ts'

interface Options { add_generation_prompt?: boolean; thinking?: boolean; tools?: object[] }
interface Golden {
  templates: Record<string, string>
  cases: Record<string, { messages: Message[]; options: Options }>
  rendered: Record<string, Record<string, { rendered?: string; error?: string }>>
}
const { templates, cases, rendered } = golden<Golden>('tokenizer/templates.json')
const now = new Date(2024, 6, 4)
const chatOf = (template: string): Chat => chatTemplate(new Map([['tokenizer.chat_template', template]]), { bos: 0, eos: 1, token: id => id ? '</s>' : '<s>' })

/** What these templates refuse, they are not given: see the system message below. */
const folded = new Set(['gemma'])

for (const [name, template] of Object.entries(templates)) {
  const chat = chatOf(template)
  for (const [what, { messages, options }] of Object.entries(cases)) {
    if (folded.has(name) && messages[0]!.role === 'system') continue
    test(`${name}: ${what}`, () => {
      const given = { now, ...options.add_generation_prompt === undefined ? {} : { addGenerationPrompt: options.add_generation_prompt },
        ...options.thinking === undefined ? {} : { thinking: options.thinking }, ...options.tools ? { tools: options.tools } : {} }
      const { rendered: text, error } = rendered[name]![what]!
      if (text !== undefined) return assert.is(chat(messages, given), text)
      assert.throws(() => chat(messages, given), (thrown: Error) => {
        assert.is(thrown.message, `tokenizer.chat_template could not be rendered: ${error}`)
        return true
      })
      return undefined
    })
  }
}

test('a system message that a template refuses or leaves out stands before the first question', () => {
  assert.equal(Object.entries(templates).filter(([, template]) => chatOf(template).foldsSystem).map(([name]) => name), ['gemma'])
  const gemma = chatOf(templates['gemma']!), system: Message = { role: 'system', content: 'Be brief.' }, [first, ...more] = cases['several turns']!.messages as [Message, ...Message[]]
  assert.is(gemma([system, first, ...more]), gemma([{ role: 'user', content: `Be brief.\n\n${first.content}` }, ...more]))
  const silent = chatOf(`{% for m in messages %}{% if m.role != 'system' %}[{{ m.content }}]{% endif %}{% endfor %}`)
  assert.is(silent.foldsSystem, true)
  assert.is(silent([system, first, ...more]), `[Be brief.\n\n${first.content}]${more.map(m => `[${m.content}]`).join('')}`)
  assert.is(silent([system]), '[Be brief.]')
  // What fails anyway says so itself.
  assert.is(chatOf('{{ raise_exception("never") }}').foldsSystem, false)
})

test.run()
