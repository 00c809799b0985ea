import { tileRows } from '../kernels/index.ts'
import { compose } from './compose.ts'
import { firstAndLast } from './stages/index.ts'
import { named } from './stages/name.ts'
import type { Policy } from './policy.ts'

// Layers whose queries see only the newest tokens. They hold their window, whatever the method, and let rows go in whole tiles: what
// attention sums stays in the same tiles, and the answer the same bits as if all rows were there.

/** Rows that are let go at once while decoding: each time the layer is made anew and the step recorded again. */
const stepRows = 4 * tileRows

/** Rows, of `rows` held, that no later query sees, in whole tiles. */
export const leftBehind = (rows: number, window: number): number =>
  window ? Math.floor(Math.max(0, rows + 1 - window) / tileRows) * tileRows : 0

/** Room for the answer beside the window. */
export const slidingRoom = (answer: number): number => Math.min(answer, stepRows)

/** Whether so many rows are worth a cut while decoding. */
export const slides = (rows: number, window: number): boolean => leftBehind(rows, window) >= stepRows

/** The policy that such a layer runs under. */
export const sliding = (window: number): Policy => compose({
  name: 'sliding window', paper: '', budget: 'none',
  plan: ({ tokens, answer }) => ({ kept: tokens - leftBehind(tokens, window), read: window, pageSize: 0, channels: 0, reserve: slidingRoom(answer) }),
  allocate: named('the window, in whole tiles', ({ tokens, shape }) => Array.from({ length: shape.kvHeads }, () => tokens - leftBehind(tokens, window))),
  select: firstAndLast(0),
})
