import type { Message } from './chat.ts'

/** A word that no template writes by itself. */
const marker = 'b7Qx4'

/** Whether a template that renders a question fails where a system message stands before it, or leaves that out. */
export function refusesSystem(render: (messages: readonly Message[]) => string): boolean {
  const question: Message = { role: 'user', content: 'A' }
  try {
    if (render([{ role: 'system', content: marker }, question]).includes(marker)) return false
  } catch { /* it may say so in words of its own */ }
  try {
    render([question])
  } catch {
    return false // something else is wrong: its own error says it best
  }
  return true
}

/** The system message at the beginning of the first user message, a blank line between them. */
export function foldSystem([system, ...rest]: readonly Message[]): Message[] {
  const at = rest.findIndex(message => message.role === 'user')
  if (!system || at < 0) return system ? [{ ...system, role: 'user' }, ...rest] : []
  return rest.map((message, index) => index === at ? { ...message, content: `${system.content}\n\n${message.content}` } : message)
}
