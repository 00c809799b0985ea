const encoder = new TextEncoder()

/** A BOM is text like any other: without `ignoreBOM` the first one would be swallowed. */
export const utf8 = (): TextDecoder => new TextDecoder('utf-8', { ignoreBOM: true })

/** 0x21–0x7e, 0xa1–0xac and 0xae–0xff. */
const printableBytes = 94 + 12 + 82

/**
 * Byte-level alphabet of GPT-2: character → byte. Printable Latin-1 stands for itself; the 68 others
 * (controls, space, no-break space, soft hyphen) follow from U+0100 in ascending order.
 */
const byteOf: ReadonlyMap<string, number> = new Map(Array.from({ length: 256 }, (_, byte) => byte)
  .sort((a, b) => Number(isPrintable(b)) - Number(isPrintable(a)) || a - b)
  .map((byte, rank) => [String.fromCharCode(isPrintable(byte) ? byte : 0x100 + rank - printableBytes), byte]))

function isPrintable(byte: number): boolean {
  return (byte > 0x20 && byte < 0x7f) || (byte > 0xa0 && byte !== 0xad)
}

/** The bytes of a token written in the byte-level alphabet; characters outside it stand for their own UTF-8. */
export function byteLevel(token: string): Uint8Array {
  const bytes: number[] = []
  for (const character of token) {
    const byte = byteOf.get(character)
    if (byte === undefined) bytes.push(...encoder.encode(character))
    else bytes.push(byte)
  }
  return Uint8Array.from(bytes)
}

/** The bytes of a token that is written as plain text. */
export function plain(token: string): Uint8Array {
  return encoder.encode(token)
}

/** The byte of a token such as `<0x0A>`; null where it is not written so. */
export function namedByte(token: string): Uint8Array | null {
  const hex = /^<0x([0-9A-Fa-f]{2})>$/.exec(token)?.[1]
  return hex === undefined ? null : Uint8Array.of(Number.parseInt(hex, 16))
}

/** The same text with each unpaired surrogate, which UTF-8 cannot hold, as U+FFFD. */
export function wellFormed(text: string): string {
  return text.replace(/\p{Surrogate}/gu, '\uFFFD')
}
