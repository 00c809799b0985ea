// Python's str.strip, lstrip and rstrip take the characters to strip; the library's take none and strip all white space.

/** Names under which templates call them with characters; with a space, so that no template's own name is one of them. */
const names: Readonly<Record<string, string>> = { strip: 'strip of', lstrip: 'lstrip of', rstrip: 'rstrip of' }

interface Node { type?: string; callee?: Node; args?: Node[]; object?: Node; property?: Node; computed?: boolean; value?: unknown }

/** In a parsed template: `x.lstrip(characters)` calls a function of x and characters. Changes the tree. */
export function takeCharacters(tree: unknown): void {
  if (typeof tree !== 'object' || tree === null) return
  const node = tree as Node
  for (const child of Object.values(node)) takeCharacters(child)
  const { callee, args } = node
  if (node.type !== 'CallExpression' || !args?.length || callee?.type !== 'MemberExpression' || callee.computed || callee.property?.type !== 'Identifier') return
  const name = names[String(callee.property.value)]
  if (name === undefined) return
  node.args = [callee.object!, ...args]
  node.callee = Object.assign(callee.property, { value: name })
}

function stripped(text: string, characters: string, start: boolean, end: boolean): string {
  const letters = [...text], out = (letter: string): boolean => !characters.includes(letter)
  const from = start ? letters.findIndex(out) : 0, to = end ? letters.findLastIndex(out) + 1 : letters.length
  return from < 0 ? '' : letters.slice(from, to).join('')
}

/** What the changed tree calls. */
export const stripping: Readonly<Record<string, (text: string, characters: string) => string>> = {
  'strip of': (text, characters) => stripped(text, characters, true, true),
  'lstrip of': (text, characters) => stripped(text, characters, true, false),
  'rstrip of': (text, characters) => stripped(text, characters, false, true),
}
