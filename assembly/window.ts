export function scoreWindowBlocks(a: usize): i32 { return 0 }
export function scoreWindow(a: usize, block: i32, scratch: usize): void {}
export function tokenScoreBlocks(a: usize): i32 { return 0 }
export function tokenScore(a: usize, block: i32, scratch: usize): void {}
