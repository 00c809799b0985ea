import type { RowType } from './operations.ts'

/**
 * Where the rows of one KV head lie: eight words of a segment table [kvHeads, 8] u32.
 *
 *   0 count · 1 split · 2 base · 3 baseCapacity · 4 tail · 5 tailCapacity · 6 bounds · 7 boundTiles
 *
 * Row r lies in part `base` where r < split, else in part `tail` as its row r − split. split is a multiple of 64, so a
 * tile of 64 rows never straddles; a cache that shares nothing has split 0. A part of capacity c (a multiple of 64) is
 *
 *   i16:  keys i16 [c, stride] | values i16 [c, stride] | key scales f32 [c] | value scales f32 [c] | positions u32 [c]
 *   f32:  keys f32 [c, stride] | values f32 [c, stride] | positions u32 [c]
 *
 * stride is headDim rounded up to 16 channels, padded with zeros. i16 codes lie in [−4095, 4095]: value = code × scale,
 * scale = largest |value| / 4095, code = nearest(value × (4095 / largest)); a row of zeros has scale 0, and one
 * whose largest value is below 2^−116 (where 4095 / largest is no f32) counts as zeros.
 *
 * q8, q4 and q2, the packed types, hold f32 rows in the tail until 64 are there; `pack` makes them a group at the end of base. A group is
 *
 *   keys [64, stride] codes | values [64, stride] codes | key scales f32 [stride] | key offsets f32 [stride]
 *     | value scales f32 [64] | value offsets f32 [64] | positions u32 [64]
 *
 * Keys share scale and offset per channel over the 64 rows, values per row over its headDim channels (KIVI, arXiv:2402.02750). Of
 * numbers from low to high, with L = 255 for q8, 15 for q4, 3 for q2, each step in f32:
 *
 *   range = high − low, 0 where it is below 2^−116 · scale = range / L · offset = low + scale × h, h = (L + 1) / 2
 *   n = nearest((x − low) × (L / range)) kept to [0, L]; 0 where range is 0 · x ≈ offset + scale × (n − h)
 *
 * Padding counts as zeros, in values' scales not at all. A q8 code is n − h as i8. q4 takes 16 channels to 8 bytes: byte i holds n of channel i (low nibble) and of channel i + 8 (high);
 * q2 to 4 bytes: byte i holds n of channels i, i + 4, i + 8 and i + 12, from the lowest bits up.
 *
 * Bounds are tiles of 64 pages, pages contiguous: f32 [2·stride, 64], or i16 [2·stride, 64] | page scales f32 [64], which packed
 * types have too. Rows 0 … stride − 1 are the lowest keys of the page per channel, the rest the highest, rounded outward. Where a page is
 * one token both are the key itself (as i16 rows store it, where rows are packed) and a tile has `stride` rows.
 */
export const segmentWords = 8
export const tileRows = 64

/** Bits of a code of the packed types. */
export const packedBits = { q8: 8, q4: 4, q2: 2 } as const
export type PackedType = keyof typeof packedBits

/** Whether rows are packed in groups of 64, with an f32 tail. */
export const isPacked = (type: RowType): type is PackedType => Object.hasOwn(packedBits, type)

/** The type of the rows in a segment's tail. */
export const tailType = (type: RowType): 'f32' | 'i16' => type === 'i16' ? 'i16' : 'f32'

/** The type of the rows that a prompt is read into before they are stored: packing comes after a layer is done. */
export const readType = (type: RowType): 'f32' | 'i16' => type === 'f32' ? 'f32' : 'i16'

/** headDim in whole vectors of 16 channels. */
export const strideOf = (headDim: number): number => (headDim + 15) & ~15

/** Rows in whole tiles. */
export const wholeTiles = (rows: number): number => Math.ceil(rows / tileRows) * tileRows

/** Rows in whole groups: what is left of them stays in the tail. */
export const wholeGroups = (rows: number): number => Math.floor(rows / tileRows) * tileRows

/** Rows of which attention makes one partial result: CHUNK in assembly/chunks.ts. */
export const chunkRows = 1024

/** Shape of the partial results of one token over as many rows, see `attend`. */
export const partialShape = (rows: number, heads: number, headDim: number): number[] => [Math.ceil(rows / chunkRows), heads, 2 + strideOf(headDim)]

/** Bytes of one held row of one KV head: keys, values, scales, position; of packed types a 64th of a group. */
export function rowBytes(type: RowType, headDim: number): number {
  const stride = strideOf(headDim)
  switch (type) {
    case 'f32': return 8 * stride + 4
    case 'i16': return 4 * stride + 12
    case 'q8':
    case 'q4':
    case 'q2': return stride * packedBits[type] / 4 + stride / 8 + 12
  }
}

/** Rows that one KV head has places for when it must hold `rows`. */
export const roomFor = (type: RowType, rows: number): number => isPacked(type) ? wholeGroups(rows) + tileRows : wholeTiles(Math.max(1, rows))

/** Bytes of those places: whole tiles; or whole groups and a tail of 64 rows. */
export const roomBytes = (type: RowType, headDim: number, rows: number): number => isPacked(type)
  ? wholeGroups(rows) * rowBytes(type, headDim) + tileRows * rowBytes('f32', headDim)
  : roomFor(type, rows) * rowBytes(type, headDim)

/** The most rows whose places take at most so many bytes; fewer than 0 where a packed type's tail takes more. */
export const roomMost = (type: RowType, headDim: number, bytes: number): number => isPacked(type)
  ? (Math.floor((bytes - tileRows * rowBytes('f32', headDim)) / (tileRows * rowBytes(type, headDim))) + 1) * tileRows - 1
  : Math.floor(bytes / (tileRows * rowBytes(type, headDim))) * tileRows

/** Bytes of the page bounds of `pages` pages of one KV head, in whole tiles. */
export function boundBytes(type: RowType, headDim: number, pageSize: number, pages: number): number {
  const rows = (pageSize === 1 ? 1 : 2) * strideOf(headDim)
  return Math.ceil(pages / tileRows) * tileRows * (type === 'f32' ? 4 * rows : 2 * rows + 4)
}
