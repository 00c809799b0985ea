import type { OperationName } from './operations.ts'
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
  pool: o => 16 * (number(o, 'tokens') + 2 * Math.min(number(o, 'kernel') >> 1, number(o, 'tokens')) + 8),
  topk: o => keys(number(o, 'tokens')),
  pageWeights: o => keys(number(o, 'stride')),
  topPages: o => 2 * keys(number(o, 'stride')),
  blendMean: o => keys(number(o, 'stride')),
  topChunks: o => 2 * keys(Math.ceil(number(o, 'tokens') / number(o, 'chunk'))),
}

/** Bytes of memory an operation wants for its own use while it runs. */
export const scratchBytes = (name: OperationName, operands: Given): number => needs[name]?.(operands) ?? common
