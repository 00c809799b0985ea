export function sampleBlocks(a: usize): i32 { return 0 }
export function sample(a: usize, block: i32, scratch: usize): void {}
