import { rowTypes, type OperationName } from './operations.ts'
import { tileRows, wholeTiles } from './rows.ts'
import type { Tensor } from './tensor.ts'

type Given = Record<string, Tensor | number | null>
const number = (o: Given, field: string): number => o[field] as number

/** Enough for every operation that is not named below. */
const common = 64 * 1024

/** Selection keys, in whole groups of 16. */
const keys = (n: number): number => 4 * (n + 16)

/** Queries whose scores `scoreWindow` holds at once: QUERIES in assembly/window.ts. */
const windowQueries = 4

/** Most queries of a block of `attend` where the group is no larger: MOST in assembly/attend.ts. */
const attendQueries = 128

/** Scratch of operations whose need grows with their operands, in bytes. */
const needs: Partial<Record<OperationName, (o: Given) => number>> = {
  normalize: o => 4 * number(o, 'dim'),
  gate: o => 4 * number(o, 'dim'),
  // Sums of 64 tokens × 64 rows, a tile of weights, and four by four the codes of 64 tokens × 1024 columns.
  project: () => (16 + 16 + 128) * 1024,
  // Penalised logits and ids.
  sample: o => number(o, 'n') * 8,
  pool: o => 16 * (number(o, 'tokens') + 2 * Math.min(number(o, 'kernel') >> 1, number(o, 'tokens')) + 8),
  // Keys of all heads and of one, then places.
  shareRows: o => 2 * keys(number(o, 'kvHeads') * number(o, 'tokens')) + keys(number(o, 'tokens')),
  keyScore: o => 4096 + 8 * (number(o, 'headDim') + 15),
  topk: o => keys(number(o, 'tokens')),
  pageWeights: o => keys(number(o, 'stride')),
  topPages: o => 2 * keys(number(o, 'stride')),
  blendMean: o => keys(number(o, 'stride')),
  topChunks: o => 2 * keys(Math.ceil(number(o, 'tokens') / number(o, 'chunk'))),
  attend,
  scoreWindow: o => 4096 + windowQueries * 4 * (number(o, 'headDim') + 15 + wholeTiles(number(o, 'tokens'))) + numbers(o),
  tokenScore: o => 4096 + windowQueries * 4 * (number(o, 'headDim') + 15) + numbers(o),
  // Keys, values and positions of a group, as `packGroup` wants them.
  gather: o => 4096 + 2 * numbers(o),
}

/** A tile of packed keys or values as f32 numbers; nothing where rows are not packed. */
const numbers = (o: Given): number => number(o, 'type') < rowTypes.q8 ? 0 : tileRows * 4 * (number(o, 'headDim') + 15)

/** A tile's keys, values and turned keys; then per query its code, what it holds in chunk and total, and six numbers; of packed rows codes for a group and two numbers more. */
function attend(o: Given): number {
  const row = 4 * (number(o, 'headDim') + 15)
  const queries = Math.max(attendQueries, number(o, 'heads') / number(o, 'kvHeads'))
  const group = number(o, 'type') < rowTypes.q8 ? 0 : queries * (row / 2 + 8)
  return 4096 + 3 * tileRows * row + queries * (3 * row + 24) + group
}

/** Bytes of memory an operation wants for its own use while it runs. */
export const scratchBytes = (name: OperationName, operands: Given): number => needs[name]?.(operands) ?? common
