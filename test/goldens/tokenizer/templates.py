"""Writes templates.json beside it: chat templates rendered by Python's Jinja as transformers sets it up (apply_chat_template).

    pip install jinja2==3.1.6 && python templates.py

The templates are written for this test in the style of public families: what they ask of a renderer is there (trimmed blocks, namespaces,
tools as JSON, raised exceptions, loop variables, slices, string methods), not their words.
"""
import json
import os

import jinja2
from jinja2.ext import loopcontrols
from jinja2.sandbox import ImmutableSandboxedEnvironment

TEMPLATES = {
    'chatml': """{% for message in messages %}
{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n' }}
{%- endfor %}
{% if add_generation_prompt %}
{{ '<|im_start|>assistant\\n' }}
{%- endif %}
""",
    'llama3': """{{- bos_token }}
{%- if messages[0]['role'] == 'system' %}
    {%- set system = messages[0]['content'] | trim %}
    {%- set rest = messages[1:] %}
{%- else %}
    {%- set system = '' %}
    {%- set rest = messages %}
{%- endif %}
{{- '<|start_header_id|>system<|end_header_id|>\\n\\n' }}
{%- if tools is not none %}
    {{- 'Environment: ipython\\n' }}
{%- endif %}
{{- 'Today: ' + strftime_now('%d %b %Y') + '\\n\\n' }}
{%- if tools is not none %}
    {{- 'Functions:\\n' }}
    {%- for tool in tools %}
        {{- tool | tojson(indent=4) }}
        {{- '\\n\\n' }}
    {%- endfor %}
{%- endif %}
{{- system + '<|eot_id|>' }}
{%- for message in rest %}
    {%- if message.role == 'tool' or message.role == 'ipython' %}
        {{- '<|start_header_id|>ipython<|end_header_id|>\\n\\n' }}
        {%- if message.content is mapping or message.content is iterable and message.content is not string %}
            {{- message.content | tojson }}
        {%- else %}
            {{- message.content }}
        {%- endif %}
        {{- '<|eot_id|>' }}
    {%- elif 'tool_calls' in message %}
        {%- if message.tool_calls | length != 1 %}
            {{- raise_exception('One call at a time!') }}
        {%- endif %}
        {%- set call = message.tool_calls[0].function %}
        {{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n{"name": "' + call.name + '", "parameters": ' }}
        {{- call.arguments | tojson }}
        {{- '}<|eot_id|>' }}
    {%- else %}
        {{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n' + message['content'] | trim + '<|eot_id|>' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}
{%- endif %}
""",
    'qwen3': """{%- if tools %}
    {{- '<|im_start|>system\\n' }}
    {%- if messages[0].role == 'system' %}
        {{- messages[0].content + '\\n\\n' }}
    {%- endif %}
    {{- '# Tools\\n<tools>' }}
    {%- for tool in tools %}
        {{- '\\n' }}
        {{- tool | tojson }}
    {%- endfor %}
    {{- '\\n</tools><|im_end|>\\n' }}
{%- elif messages[0].role == 'system' %}
    {{- '<|im_start|>system\\n' + messages[0].content + '<|im_end|>\\n' }}
{%- endif %}
{%- set ns = namespace(searching=true, last=messages|length - 1) %}
{%- for message in messages[::-1] %}
    {%- set index = (messages|length - 1) - loop.index0 %}
    {%- if ns.searching and message.role == 'user' and not (message.content.startswith('<tool_response>') and message.content.endswith('</tool_response>')) %}
        {%- set ns.searching = false %}
        {%- set ns.last = index %}
    {%- endif %}
{%- endfor %}
{%- for message in messages %}
    {%- if message.role == 'user' or (message.role == 'system' and not loop.first) %}
        {{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}
    {%- elif message.role == 'assistant' %}
        {%- set content = message.content %}
        {%- set thought = '' %}
        {%- if message.reasoning_content is defined and message.reasoning_content is not none %}
            {%- set thought = message.reasoning_content %}
        {%- elif '</think>' in message.content %}
            {%- set content = message.content.split('</think>')[-1].lstrip('\\n') %}
            {%- set thought = message.content.split('</think>')[0].rstrip('\\n').split('<think>')[-1].lstrip('\\n') %}
        {%- endif %}
        {%- if loop.index0 > ns.last and (loop.last or thought) %}
            {{- '<|im_start|>assistant\\n<think>\\n' + thought.strip('\\n') + '\\n</think>\\n\\n' + content.lstrip('\\n') }}
        {%- else %}
            {{- '<|im_start|>assistant\\n' + content }}
        {%- endif %}
        {%- if message.tool_calls %}
            {%- for call in message.tool_calls %}
                {%- if (loop.first and content) or (not loop.first) %}{{- '\\n' }}{%- endif %}
                {%- if call.function %}{%- set call = call.function %}{%- endif %}
                {{- '<tool_call>\\n{"name": "' }}{{- call.name }}{{- '", "arguments": ' }}
                {%- if call.arguments is string %}{{- call.arguments }}{%- else %}{{- call.arguments | tojson }}{%- endif %}
                {{- '}\\n</tool_call>' }}
            {%- endfor %}
        {%- endif %}
        {{- '<|im_end|>\\n' }}
    {%- elif message.role == 'tool' %}
        {%- if loop.first or (messages[loop.index0 - 1].role != 'tool') %}{{- '<|im_start|>user' }}{%- endif %}
        {{- '\\n<tool_response>\\n' + message.content + '\\n</tool_response>' }}
        {%- if loop.last or (messages[loop.index0 + 1].role != 'tool') %}{{- '<|im_end|>\\n' }}{%- endif %}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
    {%- if enable_thinking is defined and enable_thinking is false %}
        {{- '<think>\\n\\n</think>\\n\\n' }}
    {%- endif %}
{%- endif %}""",
    'smollm3': """{%- if enable_thinking is not defined -%}{%- set enable_thinking = true -%}{%- endif -%}
{# ─── the mode ─── #}
{%- set mode = '/think' if enable_thinking else '/no_think' -%}
{{- '<|im_start|>system\\n' -}}
{%- if messages[0].role == 'system' -%}
{%- set system = messages[0].content -%}
{%- set own = system.replace('/no_think', '').replace('/think', '').rstrip() -%}
{%- endif -%}
{%- if '/override' in system -%}
{{- own.replace('/override', '').rstrip() -}}
{%- else -%}
{{- 'Date: ' ~ strftime_now('%d %b %Y') ~ '\\nMode: ' + mode + '\\n\\n' + (own if own else 'Be kind.') + '\\n' -}}
{%- if xml_tools or tools -%}
{%- set ns = namespace(text='<tools>\\n') -%}
{%- for tool in (xml_tools or tools)[:] -%}{# a list #}
{%- set ns.text = ns.text ~ (tool | string) ~ '\\n' -%}
{%- endfor -%}
{{- ns.text + '</tools>\\n' -}}
{%- endif -%}
{%- endif -%}
{{- '<|im_end|>\\n' -}}
{%- for message in messages -%}
    {%- set content = message.content if message.content is string else '' -%}
    {%- if message.role == 'user' or message.role == 'tool' -%}
        {{ '<|im_start|>user\\n' + content + '<|im_end|>\\n' }}
    {%- elif message.role == 'assistant' -%}
        {{ '<|im_start|>assistant\\n' + ('' if mode == '/think' else '<think>\\n\\n</think>\\n') + content.lstrip('\\n') + '<|im_end|>\\n' }}
    {%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}{{ '<|im_start|>assistant\\n' + ('' if mode == '/think' else '<think>\\n\\n</think>\\n') }}{%- endif -%}""",
    'gemma': """{{ bos_token }}{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}{% for message in messages %}{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('Roles must alternate user/assistant/user/...') }}{% endif %}{% if (message['role'] == 'assistant') %}{% set role = 'model' %}{% else %}{% set role = message['role'] %}{% endif %}{{ '<start_of_turn>' + role + '\\n' + message['content'] | trim + '<end_of_turn>\\n' }}{% endfor %}{% if add_generation_prompt %}{{'<start_of_turn>model\\n'}}{% endif %}""",
    'mistral': """{%- if messages[0]["role"] == "system" %}
    {%- set system_message = messages[0]["content"] %}
    {%- set loop_messages = messages[1:] %}
{%- else %}
    {%- set loop_messages = messages %}
{%- endif %}
{%- for message in loop_messages %}
    {%- if message["role"] not in ["user", "assistant"] %}
        {{- raise_exception("Only user and assistant, got " ~ message["role"] ~ "!") }}
    {%- endif %}
{%- endfor %}
{{- bos_token }}
{%- for message in loop_messages %}
    {%- if message["role"] == "user" %}
        {%- if loop.last and system_message is defined %}
            {{- "[INST] " + system_message + "\\n\\n" + message["content"] + "[/INST]" }}
        {%- else %}
            {{- "[INST] " + message["content"] + "[/INST]" }}
        {%- endif %}
    {%- else %}
        {{- " " + message["content"] + eos_token }}
    {%- endif %}
{%- endfor %}
""",
    'phi3': """{% for message in messages %}{% if message['role'] == 'system' and message['content'] %}{{'<|system|>\\n' + message['content'] + '<|end|>\\n'}}{% elif message['role'] == 'user' %}{{'<|user|>\\n' + message['content'] + '<|end|>\\n'}}{% elif message['role'] == 'assistant' %}{{'<|assistant|>\\n' + message['content'] + '<|end|>\\n'}}{% endif %}{% endfor %}{% if add_generation_prompt %}{{ '<|assistant|>\\n' }}{% else %}{{ eos_token }}{% endif %}""",
    'zephyr': """{% for message in messages %}
  {% if message['role'] == 'user' %}
{{ '<|user|>\\n' + message['content'] + eos_token }}
  {% elif message['role'] == 'system' %}
{{ '<|system|>\\n' + message['content'] + eos_token }}
  {% elif message['role'] == 'assistant' %}
{{ '<|assistant|>\\n'  + message['content'] + eos_token }}
  {% endif %}
  {% if loop.last and add_generation_prompt %}
{{ '<|assistant|>' }}
  {% endif %}
{% endfor %}""",
    'granite': """{%- set roles = {'system': 'system', 'user': 'user', 'assistant': 'assistant', 'tool': 'tool_response'} %}
{%- if thinking is defined and thinking %}
    {%- set ns = namespace(note='Think first.') %}
{%- else %}
    {%- set ns = namespace(note='') %}
{%- endif %}
{%- for message in messages %}
    {%- if message.role not in roles %}{% continue %}{% endif %}
<|start_of_role|>{{ roles[message.role] }}<|end_of_role|>{{ message.content | default('', true) }}<|end_of_text|>
{% endfor -%}
{%- if add_generation_prompt %}<|start_of_role|>assistant<|end_of_role|>{{ ns.note }}{% endif %}""",
}

TURN = [{'role': 'user', 'content': 'Hello, "you" <there> & there?'}]
TALK = [{'role': 'user', 'content': '  one\n'}, {'role': 'assistant', 'content': ' two '}, {'role': 'user', 'content': 'thr\u00e9e \U0001f600'}]
SYSTEM = [{'role': 'system', 'content': 'Be brief.'}]
CALL = {'role': 'assistant', 'content': '', 'tool_calls': [{'type': 'function', 'function': {'name': 'weather', 'arguments': {'city': 'K\u00f6ln', 'days': 2, 'now': True, 'near': None, 'list': [1, 2.5]}}}]}
TOOLS = [{'type': 'function', 'function': {'name': 'weather', 'description': "The weather's state, \u2265 now", 'parameters': {'type': 'object', 'properties': {'city': {'type': 'string'}}, 'required': ['city'], 'extra': {}, 'none': []}}}]
CASES = {
    'one turn': (TURN, {}),
    'no prompt for an answer': (TURN, {'add_generation_prompt': False}),
    'several turns': (TALK, {}),
    'a system message': (SYSTEM + TALK, {}),
    'an answer at the end': (TALK[:2], {'add_generation_prompt': False}),
    'thinking off': (SYSTEM + TURN, {'thinking': False}),
    'thinking on': (TURN, {'thinking': True}),
    'thoughts': ([TALK[0], {'role': 'assistant', 'content': '<think>\nhm\n</think>\n\ntwo'}, TALK[2], {'role': 'assistant', 'content': '<think>\nhm\n</think>\n\nfour'}], {}),
    'tools': (SYSTEM + TURN, {'tools': TOOLS}),
    'a call and its answer': (TURN + [CALL, {'role': 'tool', 'name': 'weather', 'content': '{"sky": "blue"}'}], {'tools': TOOLS}),
    'two answers of tools': (TURN + [CALL, {'role': 'tool', 'content': 'a'}, {'role': 'tool', 'content': 'b'}], {}),
    'twice the same role': (TURN + TURN, {}),
}


def tojson(x, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
    return json.dumps(x, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


def raise_exception(message):
    raise jinja2.exceptions.TemplateError(message)


def environment():
    env = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols])
    env.filters['tojson'] = tojson
    env.globals['raise_exception'] = raise_exception
    env.globals['strftime_now'] = lambda form: {'%d %b %Y': '04 Jul 2024'}[form]
    return env


def render(template, messages, options):
    options = dict(options)
    if 'thinking' in options:
        options['enable_thinking'] = options['thinking']
    variables = {'add_generation_prompt': True, 'tools': None, 'documents': None, 'bos_token': '<s>', 'eos_token': '</s>', **options}
    try:
        return {'rendered': environment().from_string(template).render(messages=messages, **variables)}
    except jinja2.exceptions.TemplateError as error:
        return {'error': str(error)}


golden = {
    'source': f'jinja2 {jinja2.__version__} (Python), written by templates.py beside this file',
    'how': 'cases: messages and options; rendered: by template and case, the text or the error; strftime_now is 4 July 2024',
    'templates': TEMPLATES,
    'cases': {name: {'messages': messages, 'options': options} for name, (messages, options) in CASES.items()},
    'rendered': {template: {name: render(text, *case) for name, case in CASES.items()} for template, text in TEMPLATES.items()},
}
with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), 'templates.json'), 'w') as file:
    json.dump(golden, file, ensure_ascii=True, separators=(',', ':'))
    file.write('\n')
