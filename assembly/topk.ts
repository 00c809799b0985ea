export function topkBlocks(a: usize): i32 { return 0 }
export function topk(a: usize, block: i32, scratch: usize): void {}
export function topChunksBlocks(a: usize): i32 { return 0 }
export function topChunks(a: usize, block: i32, scratch: usize): void {}
