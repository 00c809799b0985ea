import { compose } from '../cache/compose.ts'

/** The full cache: every key and value is kept and read. */
export const full = () => compose({
  name: 'full',
  paper: 'arXiv:1706.03762',
  budget: 'none', second: 'everything', evicts: false,
  plan: ({ tokens, answer }) => ({ kept: tokens, read: tokens + answer, pageSize: 0, channels: 0, reserve: answer }),
})
