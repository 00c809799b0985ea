import { operations, type OperationName } from './operations.ts'
import type { Tensor } from './tensor.ts'

/** Throws unless `t` has this shape; null stands for any length. */
export function shape(where: string, name: string, t: Tensor, must: readonly (number | null)[]): void {
  if (t.shape.length === must.length && must.every((d, i) => d === null || d === t.shape[i])) return
  throw new RangeError(`${where}: ${name} must be [${must.map(d => d ?? '*').join(',')}], got [${t.shape.join(',')}]`)
}

/** Throws unless every operand of the operation that must be is there, and all are of their kind. */
export function checkOperands(name: OperationName, operands: Record<string, Tensor | number | null>): void {
  for (const [field, kind] of Object.entries(operations[name])) {
    const value = operands[field]
    if (kind === 't' || kind.startsWith('o')) {
      if (kind !== 't' && (value === null || value === undefined)) continue
      if (typeof value !== 'object' || value === null) throw new TypeError(`${name}: ${field} must be a tensor, got ${value}`)
    } else if (kind.endsWith('?') && value === undefined) continue
    else if (typeof value !== 'number' || (kind.startsWith('i') ? !Number.isInteger(value) : Number.isNaN(value)))
      throw new TypeError(`${name}: ${field} must be ${kind.startsWith('i') ? 'a whole number' : 'a number'}, got ${value}`)
  }
  const { heads, kvHeads } = operands as { heads?: number; kvHeads?: number }
  if (heads !== undefined && kvHeads !== undefined && heads % kvHeads)
    throw new RangeError(`${name}: heads must be a multiple of kvHeads ${kvHeads}, got ${heads}`)
}
