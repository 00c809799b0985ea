export function projectBlocks(a: usize): i32 { return 0 }
export function project(a: usize, block: i32, scratch: usize): void {}
