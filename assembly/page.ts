export function chooseChannelsBlocks(a: usize): i32 { return 0 }
export function chooseChannels(a: usize, block: i32, scratch: usize): void {}
export function pageScoreBlocks(a: usize): i32 { return 0 }
export function pageScore(a: usize, block: i32, scratch: usize): void {}
export function questScoreBlocks(a: usize): i32 { return 0 }
export function questScore(a: usize, block: i32, scratch: usize): void {}
export function pageWeightsBlocks(a: usize): i32 { return 0 }
export function pageWeights(a: usize, block: i32, scratch: usize): void {}
