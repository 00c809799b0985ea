export function topPagesBlocks(a: usize): i32 { return 0 }
export function topPages(a: usize, block: i32, scratch: usize): void {}
export function firstAndLastBlocks(a: usize): i32 { return 0 }
export function firstAndLast(a: usize, block: i32, scratch: usize): void {}
