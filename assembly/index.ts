export * from './opcodes'
export { run } from './program'
export { end, help, look } from './threads'

/** First byte that is free for the host. */
export const heapBase: usize = __heap_base
