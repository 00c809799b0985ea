import { plain } from './bytes.ts'
import { modelError } from './errors.ts'
import { flag, type Metadata } from './metadata.ts'
import { createQueue } from './queue.ts'
import type { Words } from './words.ts'

/** Stands for a space in the pieces of a vocabulary. */
const space = '▁'
const spaces = new RegExp(space, 'g')

/** Words whose ids are remembered; then they are forgotten, all at once, so that memory stays within bounds. */
const rememberedMax = 2 ** 16

/** BOS and EOS of Llama's vocabulary, which older files do not name. */
const llamaBos = 1, llamaEos = 2

function scoresOf(metadata: Metadata, tokens: number): ArrayLike<number> {
  const key = 'tokenizer.ggml.scores', value = metadata.get(key)
  if (!Array.isArray(value) && !(ArrayBuffer.isView(value) && 'length' in value)) throw modelError(`${key} must be a list of numbers, got ${value === undefined ? 'nothing' : typeof value}`)
  const list = value as unknown as ArrayLike<number>
  if (list.length !== tokens) throw modelError(`${key} must have one entry a token, ${tokens}, got ${list.length}`)
  return list
}

/**
 * `llama`: SentencePiece's merges as llama.cpp makes them. Of all neighbours that together are a piece, those with the highest score join
 * first, the leftmost of equals; a character that is no piece becomes its bytes. ids: of the vocabulary's tokens.
 */
export function sentencePieces(metadata: Metadata, tokens: readonly string[], ids: ReadonlyMap<string, number>): Words {
  const scores = scoresOf(metadata, tokens.length)
  const spacePrefix = flag(metadata, 'tokenizer.ggml.add_space_prefix', true)
  const byteIds = Array.from({ length: 256 }, (_, byte) => ids.get(`<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`) ?? ids.get(String.fromCharCode(byte)))
  // Where no piece has a space after another character, no merge crosses the end of a word, so each word can be taken alone.
  const crossing = tokens.some(token => /[^▁]▁/.test(token))
  const remembered = new Map<string, readonly number[]>()

  function merged(word: string): number[] {
    const letters = [...word], n = letters.length
    const left = Int32Array.from(letters, (_, i) => i - 1), right = Int32Array.from(letters, (_, i) => i + 1)
    const queue = createQueue()
    /** Neighbours that together are a piece wait for their turn. */
    function offer(a: number, b: number): void {
      if (a < 0 || b >= n) return
      const joined = letters[a]! + letters[b]!, id = ids.get(joined)
      if (id !== undefined) queue.push({ score: scores[id]!, left: a, right: b, length: joined.length })
    }
    for (let i = 1; i < n; i++) offer(i - 1, i)
    for (let pair = queue.pop(); pair; pair = queue.pop()) {
      const { left: a, right: b, length } = pair
      // One of the two has joined another piece since.
      if (!letters[a] || !letters[b] || letters[a]!.length + letters[b]!.length !== length) continue
      letters[a] += letters[b]!
      letters[b] = ''
      const next = right[b]!
      right[a] = next
      if (next < n) left[next] = a
      offer(left[a]!, a)
      offer(a, next)
    }
    return letters.flatMap(piece => {
      if (piece === '') return []
      const id = ids.get(piece)
      return id !== undefined ? [id] : [...plain(piece)].map(byte => byteIds[byte]).filter(byte => byte !== undefined)
    })
  }

  function idsOf(word: string): readonly number[] {
    const known = remembered.get(word)
    if (known) return known
    if (remembered.size >= rememberedMax) remembered.clear()
    const made = merged(word)
    remembered.set(word, made)
    return made
  }

  return {
    encode(text, into) {
      const whole = (spacePrefix ? space : '') + text.replace(/ /g, space)
      for (const word of crossing ? [whole] : whole.split(/(?<=[^▁])(?=▁)/)) for (const id of idsOf(word)) into.push(id)
    },
    bytes: token => plain(token.replace(spaces, ' ')),
    addBos: true, spacePrefix, bos: llamaBos, eos: llamaEos,
  }
}
