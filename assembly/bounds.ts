export function boundsBlocks(a: usize): i32 { return 0 }
export function bounds(a: usize, block: i32, scratch: usize): void {}
