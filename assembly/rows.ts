export function appendBlocks(a: usize): i32 { return 0 }
export function append(a: usize, block: i32, scratch: usize): void {}
export function advanceBlocks(a: usize): i32 { return 0 }
export function advance(a: usize, block: i32, scratch: usize): void {}
export function observeBlocks(a: usize): i32 { return 0 }
export function observe(a: usize, block: i32, scratch: usize): void {}
export function gatherBlocks(a: usize): i32 { return 0 }
export function gather(a: usize, block: i32, scratch: usize): void {}
