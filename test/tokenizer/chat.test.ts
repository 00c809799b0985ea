import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { chatTemplate, tokenizer, type Chat, type Message } from '../../src/tokenizer/index.ts'
import { strftime } from '../../src/tokenizer/chat.ts'
import { tiny, withSmollm } from '../models.ts'
import { golden, metadataOf, suite } from './files.ts'

interface Goldens { template: string; cases: { name: string; messages: Message[]; addGenerationPrompt: boolean; rendered: string }[] }

const ends = { bos: 0, eos: null, token: () => '<s>' }
const key = 'tokenizer.chat_template'
const chat = (template: unknown): Chat => chatTemplate(new Map([[key, template]]), ends)
const hi: Message[] = [{ role: 'user', content: 'hi' }]

function failure(body: () => unknown): string {
  try {
    body()
  } catch (error) {
    assert.is((error as { code?: string }).code, 'model')
    return (error as Error).message
  }
  return 'nothing thrown'
}

withSmollm(suite, 'goldens of the 135M model', async path => {
  const metadata = await metadataOf(path)
  const { template, cases } = golden<Goldens>('model/chat_template.json')
  assert.is(metadata.get(key), template)
  const render = chatTemplate(metadata, tokenizer(metadata))
  for (const { messages, addGenerationPrompt, rendered } of cases) assert.is(render(messages, { addGenerationPrompt }), rendered)
})

test('the tiny model', async () => {
  const metadata = await metadataOf(tiny)
  const render = chatTemplate(metadata, tokenizer(metadata))
  assert.is(render(hi), '<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n')
  assert.is(render(hi, { addGenerationPrompt: false }), '<|im_start|>user\nhi<|im_end|>\n')
})

test('blocks take their line with them, as transformers asks Jinja to', () => {
  const template = '{% for m in messages %}\n    {% if m.role == "user" %}\n[{{ m.content }}]\n    {% endif %}\n{% endfor %}\nend\n'
  assert.is(chat(template)([...hi, { role: 'user', content: '{% if x %} ' }]), '[hi]\n[{% if x %} ]\nend')
  assert.is(chat(template.replaceAll('\n', '\r\n'))(hi), '[hi]\nend')
})

test('the variables of transformers', () => {
  assert.is(chat('{{ bos_token }}{{ eos_token }}|{% if tools is none and documents is none %}none{% endif %}')(hi), '<s>|none')
  assert.is(chat('{% for i in range(3) %}{{ i }}{% endfor %}{% for i in range(5, 1, -2) %}{{ i }}{% endfor %}')(hi), '01253')
  assert.is(chat('{% set n = namespace(x=1) %}{% set n.x = 2 %}{{ n.x }}{{ messages[0] | tojson }}')(hi), '2{"role": "user", "content": "hi"}')
  const now = new Date(2024, 6, 4, 15, 8, 9)
  assert.is(chat('{{ strftime_now("%d %b %Y") }}')(hi, { now }), '04 Jul 2024')
  assert.is(strftime(now, '%A %a %B %m %y %H:%M:%S %I %p %% %Q'), 'Thursday Thu July 07 24 15:08:09 03 PM % %Q')
})

test('strip takes characters, as in Python', () => {
  const cases: [string, string][] = [
    ["'xxaxx'.strip('x')", 'a'], ["'xyaxy'.lstrip('yx')", 'axy'], ["'xyaxy'.rstrip('yx')", 'xya'], ["'xxx'.strip('x')", ''], ["'xxx'.rstrip('x')", ''],
    ["' a '.strip()", 'a'], ["'\\n a\\n'.lstrip('\\n')", ' a\n'], ["('a' + 'bb').rstrip('b').strip('a')", ''], ["messages[0].content.strip('h')", 'i'], ["'a'.strip('')", 'a'],
  ]
  for (const [expression, expected] of cases) assert.is(chat(`[{{ ${expression} }}]`)(hi), `[${expected}]`, expression)
})

test('string takes lists and dictionaries, as in Python', () => {
  const cases: [string, string][] = [
    ["['a', 1, 2.5, 2.0, true, none] | string", "['a', 1, 2.5, 2.0, True, None]"], ["{'a': [{}], 'b': [[]]} | string", "{'a': [{}], 'b': [[]]}"],
    ['["it\'s", \'say "a"\', \'both: "\\\'\'] | string', `["it's", 'say "a"', 'both: "\\'']`], ["['é\\n\\t\\\\\u0001\u00a0\u200b'] | string", "['é\\n\\t\\\\\\x01\\xa0\\u200b']"],
    ["'a' | string", 'a'], ['5 | string', '5'], ['2.0 | string', '2.0'], ['none | string', 'None'], ['nothing | string', ''], ["('a' ~ 1) | string | upper", 'A1'], ["'a' + 1 | string", 'a1'],
  ]
  for (const [expression, expected] of cases) assert.is(chat(`{{ ${expression} }}`)(hi), expected, expression)
})

test('named templates', () => {
  assert.is(chat([{ name: 'rag', template: 'no' }, { name: 'default', template: 'yes' }])(hi), 'yes')
  assert.is(chatTemplate(new Map([[`${key}.default`, 'yes'], [`${key}.rag`, 'no']]), ends)(hi), 'yes')
})

test('errors are one sentence about the file', () => {
  assert.is(failure(() => chatTemplate(new Map(), ends)),
    'a chat needs tokenizer.chat_template in the file, got none: run --raw sends the text as it is')
  assert.is(failure(() => chatTemplate(new Map([[`${key}.rag`, 'no']]), ends)),
    'a chat needs tokenizer.chat_template in the file, got only rag: run --raw sends the text as it is')
  assert.is(failure(() => chat('{{ raise_exception("Roles must\nalternate") }}')(hi)),
    'tokenizer.chat_template could not be rendered: Roles must alternate')
  assert.match(failure(() => chat('{% if %}')), /^tokenizer\.chat_template could not be read: [^\n]+$/)
  assert.match(failure(() => chat('{{ messages[0].content.nothing() }}')(hi)), /^tokenizer\.chat_template could not be rendered: [^\n]+$/)
})

test.run()
