import type { OperationName } from './operations.ts'
import type { Tensor } from './tensor.ts'

type Given = Record<string, Tensor | number | null>
const number = (o: Given, field: string): number => o[field] as number

/** Enough for every operation that is not named below. */
const common = 64 * 1024

/** Scratch of operations whose need grows with their operands, in bytes. */
const needs: Partial<Record<OperationName, (o: Given) => number>> = {
  // Sums of 64 tokens × 64 rows, a tile of weights, and four by four the codes of 64 tokens × 1024 columns.
  project: () => (16 + 16 + 128) * 1024,
  // Penalised logits and ids.
  sample: o => number(o, 'n') * 8,
}

/** Bytes of memory an operation wants for its own use while it runs. */
export const scratchBytes = (name: OperationName, operands: Given): number => needs[name]?.(operands) ?? common
