import { compose } from '../cache/compose.ts'
import type { Policy } from '../cache/policy.ts'
import { packedRows } from '../cache/stages/index.ts'

export interface KiviOptions { bits?: number; dense?: Policy['dense'] }

/**
 * KIVI: nothing is evicted, rows are packed in 2 bits (4 or 8 where told): keys with a scale and an offset per channel of 64 rows, values per row. Where
 * the paper differs: its groups are 32 rows of a channel and 32 channels of a value, here 64 and all of the head's; it keeps the newest 128 rows as
 * they are, here those of the open group, up to 64 in f32. Scales are f32 and counted. Prompts too short to gain by it lie as `--kv` says.
 */
export const kivi = ({ bits = 2, dense = 'auto' }: KiviOptions = {}) => compose({
  name: 'kivi',
  paper: 'arXiv:2402.02750',
  parameters: { bits, dense }, dense, budget: 'none', second: 'everything', evicts: false,
  plan: ({ tokens, answer }) => ({ kept: tokens, read: tokens + answer, pageSize: 0, channels: 0, reserve: answer }),
  store: packedRows(bits),
})
