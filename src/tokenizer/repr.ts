// Python's str of lists and dictionaries, which templates ask for with the filter `string`: the library's filter takes none of these.

/** With a space, so that no template's own name is this one. */
const name = 'string of'

interface Node { type?: string; filter?: Node; operand?: Node; value?: unknown; callee?: Node; args?: Node[] }

/** A value while a template runs. */
interface Value { readonly type: string; readonly value: unknown }

/** In a parsed template: `x | string` calls a function of [x]. Changes the tree. */
export function takeStrings(tree: unknown): void {
  if (typeof tree !== 'object' || tree === null) return
  const node = tree as Node
  for (const child of Object.values(node)) takeStrings(child)
  const { filter, operand } = node
  if (node.type !== 'FilterExpression' || filter?.type !== 'Identifier' || filter.value !== 'string') return
  delete node.filter
  delete node.operand
  // In a list, as a value outside of one reaches functions without its type.
  Object.assign(node, { type: 'CallExpression', callee: Object.assign(filter, { value: name }), args: [{ type: 'ArrayLiteral', value: [operand] }] })
}

function quoted(text: string): string {
  const quote = text.includes("'") && !text.includes('"') ? '"' : "'"
  const named: Readonly<Record<string, string>> = { '\\': '\\\\', '\n': '\\n', '\r': '\\r', '\t': '\\t', [quote]: `\\${quote}` }
  const hex = (code: number): string => code < 256 ? `\\x${code.toString(16).padStart(2, '0')}` : code < 65536 ? `\\u${code.toString(16).padStart(4, '0')}` : `\\U${code.toString(16).padStart(8, '0')}`
  return quote + text.replace(/[\\'"]|(?! )[\p{C}\p{Z}]/gu, letter => named[letter] ?? (/['"]/.test(letter) ? letter : hex(letter.codePointAt(0)!))) + quote
}

/** Python's repr; undefined ones are empty. */
function repr(given: Value): string {
  const { type, value } = given
  switch (type) {
    case 'StringValue': return quoted(value as string)
    case 'BooleanValue': return value ? 'True' : 'False'
    case 'NullValue': return 'None'
    case 'UndefinedValue': return ''
    case 'ArrayValue': return `[${(value as Value[]).map(repr).join(', ')}]`
    case 'ObjectValue': return `{${[...value as Map<string, Value>].map(([key, of]) => `${quoted(key)}: ${repr(of)}`).join(', ')}}`
    default: return String(given)
  }
}

/** What the changed tree calls. */
export const strings: Readonly<Record<string, (of: Value[]) => string>> = { [name]: ([of]) => of!.type === 'StringValue' ? of!.value as string : repr(of!) }
