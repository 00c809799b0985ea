export * from './opcodes'
export { run } from './program'

/** First byte that is free for the host. */
export const heapBase: usize = __heap_base
