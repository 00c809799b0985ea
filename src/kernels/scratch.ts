import type { OperationName } from './operations.ts'
import { tileRows, wholeTiles } from './rows.ts'
import type { Tensor } from './tensor.ts'

type Given = Record<string, Tensor | number | null>
const number = (o: Given, field: string): number => o[field] as number

/** Enough for every operation that is not named below. */
const common = 64 * 1024

/** Selection keys, in whole groups of 16. */
const keys = (n: number): number => 4 * (n + 16)

/** Scratch of operations whose need grows with their operands, in bytes. */
const needs: Partial<Record<OperationName, (o: Given) => number>> = {
  normalize: o => 4 * number(o, 'dim'),
  gate: o => 4 * number(o, 'dim'),
  // Sums of 64 tokens × 64 rows, a tile of weights, and four by four the codes of 64 tokens × 1024 columns.
  project: () => (16 + 16 + 128) * 1024,
  // Penalised logits and ids.
  sample: o => number(o, 'n') * 8,
  pool: o => 16 * (number(o, 'tokens') + 2 * Math.min(number(o, 'kernel') >> 1, number(o, 'tokens')) + 8),
  topk: o => keys(number(o, 'tokens')),
  pageWeights: o => keys(number(o, 'stride')),
  topPages: o => 2 * keys(number(o, 'stride')),
  blendMean: o => keys(number(o, 'stride')),
  topChunks: o => 2 * keys(Math.ceil(number(o, 'tokens') / number(o, 'chunk'))),
  attend,
  scoreWindow: o => 4096 + windowQueries * 4 * (number(o, 'headDim') + 15 + wholeTiles(number(o, 'tokens'))),
}

/** Queries whose scores `scoreWindow` holds at once: QUERIES in assembly/window.ts. */
const windowQueries = 4

/** Most queries of a block of `attend` where the group is no larger: MOST in assembly/attend.ts. */
const attendQueries = 128

/** A copied and a widened tile, [rows] each; then per query its code, what it holds in chunk and total, and six numbers. */
function attend(o: Given): number {
  const row = 4 * (number(o, 'headDim') + 15)
  const queries = Math.max(attendQueries, number(o, 'heads') / number(o, 'kvHeads'))
  return 4096 + 3 * tileRows * row + queries * (3 * row + 24)
}

/** Bytes of memory an operation wants for its own use while it runs. */
export const scratchBytes = (name: OperationName, operands: Given): number => needs[name]?.(operands) ?? common
