// Vocabularies that are written down in short: what test/goldens/tokenizer/llamacpp.json holds.
export interface Golden {
  source: string
  how: string
  texts: string[]
  /** Byte-level merges; their results are the vocabulary, after three special tokens and all bytes, before words that no merge makes. */
  merges: string[]
  /** SentencePiece's pieces with their scores, after special tokens and all bytes. */
  pieces: [piece: string, score: number][]
  /** By the name of a case: the ids of each text, or the name of a case with the same ones. */
  ids: Record<string, string[] | string>
  asText: Record<string, string[] | string>
}

const control = 3, normal = 1, unknown = 2, userDefined = 4, byte = 6

/** The letter that stands for each byte: itself where it prints, else the next one from U+0100. */
function byteLetters(): string[] {
  let next = 256
  return Array.from({ length: 256 }, (_, byte) => String.fromCharCode(byte >= 33 && byte <= 126 || byte >= 161 && byte <= 172 || byte >= 174 ? byte : next++))
}

/** Words that no merge makes: some pre-types find them whole. */
export const unmade = ['qqxyz', 'Ġqqxyz']
export const bytePairTokens = (merges: readonly string[]): string[] => ['<|endoftext|>', '<|end|>', '<<note>>', ...byteLetters(), ...merges.map(merge => merge.replace(' ', '')), ...unmade]
export const bytePairTypes = (tokens: readonly string[]): Int32Array => Int32Array.from(tokens, (_, id) => id < 2 ? control : id === 2 ? userDefined : normal)

export function pieceTypes(pieces: Golden['pieces']): { tokens: string[]; types: Int32Array; scores: Float32Array } {
  const bytes = Array.from({ length: 256 }, (_, n) => `<0x${n.toString(16).toUpperCase().padStart(2, '0')}>`)
  const first: [string, number][] = [['<unk>', unknown], ['<s>', control], ['</s>', control], ['<|endoftext|>', control], ['<|end|>', control], ['<<note>>', userDefined], ...bytes.map((name): [string, number] => [name, byte])]
  return {
    tokens: [...first.map(([token]) => token), ...pieces.map(([piece]) => piece)],
    types: Int32Array.from([...first.map(([, type]) => type), ...pieces.map(() => normal)]),
    scores: Float32Array.from([...first.map(() => 0), ...pieces.map(([, score]) => score)]),
  }
}
