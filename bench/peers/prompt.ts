import { openSource, readHeader } from '../../src/gguf/index.ts'
import { tokenizer } from '../../src/tokenizer/index.ts'
import { random } from '../../test/cases.ts'

/** Words that common vocabularies have whole. */
const words = `the of and to in a is that for it was on are as with at by this had not but from have they which one were all we when there
  can an your what so up out if about who get go me make time just him know take people year good some could them see other than then now look
  only come over think also back after use two how our work first well way even new want because any these give day most us`.split(/\s+/)

export interface Prompt { readonly ids: readonly number[]; readonly text: string }

/** Seeded text whose tokens are `n` for every engine, and their ids. */
export async function prompts(model: string): Promise<(n: number) => Prompt> {
  const file = await openSource(model)
  const header = await readHeader(file).finally(() => file.close())
  const { encode } = tokenizer(header.metadata)
  const whole = words.filter(word => encode(` ${word}`).length === 1)
  return n => {
    const next = random(n)
    const text = Array.from({ length: n }, () => ` ${whole[Math.floor(next() * whole.length)]!}`).join('')
    const ids = encode(text)
    if (ids.length !== n) throw new Error(`the prompt must have ${n} tokens, got ${ids.length}`)
    return { ids, text }
  }
}
