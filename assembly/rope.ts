export function ropeFrequenciesBlocks(a: usize): i32 { return 0 }
export function ropeFrequencies(a: usize, block: i32, scratch: usize): void {}
export function ropeTableBlocks(a: usize): i32 { return 0 }
export function ropeTable(a: usize, block: i32, scratch: usize): void {}
export function ropeBlocks(a: usize): i32 { return 0 }
export function rope(a: usize, block: i32, scratch: usize): void {}
