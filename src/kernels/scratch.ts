import type { OperationName } from './operations.ts'
import { tileRows, wholeTiles } from './rows.ts'
import type { Tensor } from './tensor.ts'

type Given = Record<string, Tensor | number | null>
const number = (o: Given, field: string): number => o[field] as number

/** Enough for every operation that is not named below. */
const common = 64 * 1024

/** Scratch of operations whose need grows with their operands, in bytes. */
const needs: Partial<Record<OperationName, (o: Given) => number>> = {
  normalize: o => 4 * number(o, 'dim'),
  gate: o => 4 * number(o, 'dim'),
  attend,
  scoreWindow: o => 4096 + windowQueries * 4 * (number(o, 'headDim') + 15 + wholeTiles(number(o, 'tokens'))),
}

/** Queries whose scores `scoreWindow` holds at once: QUERIES in assembly/window.ts. */
const windowQueries = 4

/** Most queries of a block of `attend` where the group is no larger: MOST in assembly/attend.ts. */
const attendQueries = 128

/** A tile's keys, values and turned keys; then per query its code, what it holds in chunk and total, and six numbers. */
function attend(o: Given): number {
  const row = 4 * (number(o, 'headDim') + 15)
  const queries = Math.max(attendQueries, number(o, 'heads') / number(o, 'kvHeads'))
  return 4096 + 3 * tileRows * row + queries * (3 * row + 24)
}

/** Bytes of memory an operation wants for its own use while it runs. */
export const scratchBytes = (name: OperationName, operands: Given): number => needs[name]?.(operands) ?? common
