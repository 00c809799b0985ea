export function poolBlocks(a: usize): i32 { return 0 }
export function pool(a: usize, block: i32, scratch: usize): void {}
export function sumSetsBlocks(a: usize): i32 { return 0 }
export function sumSets(a: usize, block: i32, scratch: usize): void {}
export function chunkScoreBlocks(a: usize): i32 { return 0 }
export function chunkScore(a: usize, block: i32, scratch: usize): void {}
