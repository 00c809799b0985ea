export function repackBlocks(a: usize): i32 { return 0 }
export function repack(a: usize, block: i32, scratch: usize): void {}
