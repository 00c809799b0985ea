export function sumValuesBlocks(a: usize): i32 { return 0 }
export function sumValues(a: usize, block: i32, scratch: usize): void {}
export function blendMeanBlocks(a: usize): i32 { return 0 }
export function blendMean(a: usize, block: i32, scratch: usize): void {}
