import { existsSync, readFileSync, writeFileSync } from 'node:fs'

const title = '# Results of the benches\n\nEach section is the last full run of one bench, with the machine, the versions and the commit it ran on; `bench/README.md` says how.\n'

/** Lines as markdown: tables as they are, everything else as printed. */
function markdown(lines: readonly string[]): string {
  let text = '', open = false
  for (const line of lines.flatMap(line => line.split('\n'))) {
    const plain = line !== '' && !line.startsWith('|')
    if (plain !== open && line !== '') {
      text += plain ? '\n```text\n' : '```\n\n'
      open = plain
    }
    if (line !== '' || open) text += line + '\n'
  }
  return text + (open ? '```\n' : '')
}

/** Puts a bench's section in place of its last one; the other sections stay. */
export function writeResults(path: string, bench: string, lines: readonly string[]): void {
  const sections = (existsSync(path) ? readFileSync(path, 'utf8') : title).split(/^(?=## )/m)
  const section = `## ${bench}\n${markdown(lines)}`
  const at = sections.findIndex(text => text.startsWith(`## ${bench}\n`))
  if (at < 0) sections.push(section)
  else sections[at] = section
  writeFileSync(path, sections.map(text => text.trimEnd() + '\n').join('\n'))
}
