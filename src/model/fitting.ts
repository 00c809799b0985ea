import { rowTypes, type RowType } from '../kernels/index.ts'
import { fault } from '../cache/fault.ts'
import { blockTypes, type TensorInfo } from '../gguf/index.ts'
import type { Precision } from './llama.ts'
import { weightBytes } from './weights.ts'

/** What may be changed where a prompt does not fit. */
interface Change { readonly budget?: number; readonly kv?: RowType; readonly tokens?: number }
interface Asked { readonly budget: number; readonly kv: RowType; readonly tokens: number; readonly precision: Precision }

/** Budgets below this serve nobody: what every method keeps at least, the first and the last tokens, fills them. */
const leastBudget = 64

/** Down to two digits: what programs and pages leave of memory differs a little from run to run. */
function rounded(n: number): number {
  const step = 10 ** Math.max(0, String(n).length - 2)
  return Math.floor(n / step) * step
}

/** A whole number from 1 to `most` for which `fits` holds, the largest where it holds for all below; 0 where none was found. */
function largest(most: number, fits: (n: number) => boolean): number {
  let low = 0, high = most
  while (low < high) {
    const middle = Math.ceil((low + high) / 2)
    if (fits(middle)) low = middle
    else high = middle - 1
  }
  return low
}

/** In words, what would fit: half the budget again and again, other types of cache rows, fewer tokens. One change at a time. */
export function wouldFit({ budget, kv, tokens, precision }: Asked, fits: (change: Change) => boolean): string {
  const may = (change: Change): boolean => {
    try {
      return fits(change)
    } catch {
      return false // a method may refuse a budget or a length
    }
  }
  const ways: string[] = []
  for (let half = budget >> 1; half >= leastBudget; half >>= 1) if (may({ budget: half })) {
    ways.push(`a budget of ${half}`)
    break
  }
  if (precision !== 'exact') for (const type of Object.keys(rowTypes) as RowType[]) if (type !== kv && may({ kv: type })) ways.push(`kv ${type}`)
  const most = rounded(largest(tokens - 1, n => may({ tokens: n })))
  if (most) ways.push(`a prompt of ${most} tokens`)
  return ways.length ? `${ways.join(' or ')} would fit` : 'no budget would fit'
}

const megabytes = (bytes: number): string => `${(bytes / 1e6).toFixed(bytes < 1e8 ? 1 : 0)} MB`

/** Refuses weights beyond `limit` bytes, and names the types of weights with which the model would fit. */
export function refuseHeavy(tensors: ReadonlyMap<string, TensorInfo>, limit: number): void {
  const bytes = weightBytes(tensors)
  if (bytes <= limit) return
  const as = (type: TensorInfo['type']): number =>
    weightBytes(new Map([...tensors].map(([name, tensor]) => [name, tensor.shape.length > 1 ? { ...tensor, type } : tensor])))
  const lighter = Object.values(blockTypes).map(({ name }) => ({ name, bytes: as(name) })).filter(type => type.bytes <= limit).sort((a, b) => b.bytes - a.bytes)
  throw fault('memory', `memory must stay within ${megabytes(limit)}, got ${megabytes(bytes)} of weights; `
    + (lighter.length ? `of ${lighter.map(type => `${type.name} they would have ${megabytes(type.bytes)}`).join(', of ')}` : 'of no type would they fit'))
}
