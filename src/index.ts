/** pocketkv: long-context LLM inference where there is no GPU server. */
export { load, type Model } from './load.ts'
export { methods } from './methods/index.ts'
export { compose } from './cache/compose.ts'
export type { Cache } from './cache/cache.ts'
export type { Ledger } from './cache/ledger.ts'
export type { Policy } from './cache/policy.ts'
export type { Kernels, Tensor } from './kernels/index.ts'
export type { Config } from './model/config.ts'
