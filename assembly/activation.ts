export function normalizeBlocks(a: usize): i32 { return 0 }
export function normalize(a: usize, block: i32, scratch: usize): void {}
export function quantizeBlocks(a: usize): i32 { return 0 }
export function quantize(a: usize, block: i32, scratch: usize): void {}
export function gateBlocks(a: usize): i32 { return 0 }
export function gate(a: usize, block: i32, scratch: usize): void {}
