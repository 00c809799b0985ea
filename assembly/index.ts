export * from './opcodes'
export { run } from './program'
export { end, help, look } from './threads'
export { dots } from './probe'

/** Whether this is the relaxed build. */
export const relaxed: bool = ASC_FEATURE_RELAXED_SIMD

/** First byte that is free for the host. */
export const heapBase: usize = __heap_base
