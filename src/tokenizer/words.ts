/** How text between added tokens becomes ids, by the kind of vocabulary. */
export interface Words {
  /** The ids of a text, appended to `ids`. Before it stands an added token, or nothing. */
  encode(text: string, ids: number[]): void
  /** What a token that is neither control nor user-defined stands for [bytes]. */
  bytes(token: string): Uint8Array
  /** Whether BOS is added where the file does not say. */
  readonly addBos: boolean
  /** A space is put before each text, and is no part of it. */
  readonly spacePrefix: boolean
  /** BOS and EOS where the file names none. */
  readonly bos: number | null
  readonly eos: number | null
}
