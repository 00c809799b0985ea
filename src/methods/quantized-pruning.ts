import { compose } from '../cache/compose.ts'
import type { Policy } from '../cache/policy.ts'
import { maximumPool, packedRows, rowsInstead, topTokens, windowAttention } from '../cache/stages/index.ts'
import { windowBudget } from './windowBudget.ts'

export interface QuantizedPruningOptions { bits?: number; window?: number; kernel?: number; dense?: Policy['dense'] }

/**
 * Quantised pruning: SnapKV keeps more rows in fewer bits. The budget is tokens of i16 rows; as many packed rows are kept as take, with the answer,
 * no more bytes than those would, every scale, position and the f32 tail counted; where that is fewer than the budget, as many, as `--kv` says. The paper
 * counts codes alone: budget × 16 / bits. Answers are packed too, where the paper's stay as they are.
 */
export function quantizedPruning({ bits = 4, window = 8, kernel = 7, dense = 'auto' }: QuantizedPruningOptions = {}): Policy {
  const store = packedRows(bits)
  return compose({
    name: 'quantized-pruning',
    paper: 'arXiv:2412.12706',
    parameters: { bits, window, kernel, dense }, dense, budget: 'bytes',
    plan(request) {
      const { tokens, answer, budget, shape: { headDim } } = request
      const kept = Math.max(windowBudget('quantized-pruning', request, window), Math.min(tokens, rowsInstead(store, headDim, budget + answer) - answer))
      return { kept, read: kept + answer, pageSize: 0, channels: 0, reserve: answer }
    },
    score: windowAttention(window),
    pool: maximumPool(kernel),
    select: topTokens(),
    store,
  })
}
