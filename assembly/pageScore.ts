import { setCost } from './registers'
import { boundType, segmentOf, strideOf } from './segment'
import { BLOCK_TILES, prepare, scoreTiles, TOGETHER } from './tileScore'
import { boundRowBytes, liveOf, pagesOf, TILE_PAGES } from './tiles'

// pageScore | out | query | channels | segments | heads | kvHeads | headDim | type | count | pageSize | stride |

// What a block prepares in scratch, per head: offsets of the chosen rows in a tile, as u32 [count + 1]; factors, as f32 [count + 1] or as pairs of
// i16 codes [(count + 1) / 2]; the query's scale; 64 scores.

// @ts-ignore: decorator
@inline
function tileBlocks(segments: usize, kvHeads: i32, pageSize: i32): i32 {
  let most = 0
  for (let h = 0; h < kvHeads; h++) most = max(most, liveOf(segmentOf(segments, h)))
  return pagesOf(pagesOf(most, pageSize), TILE_PAGES * BLOCK_TILES)
}

export function pageScoreBlocks(a: usize): i32 {
  const kvHeads = load<i32>(a, 20), each = tileBlocks(load<usize>(a, 12), kvHeads, load<i32>(a, 36))
  setCost((min(load<i32>(a, 40), TILE_PAGES * BLOCK_TILES) * load<i32>(a, 32) * (load<i32>(a, 16) / kvHeads)) >> 11)
  return kvHeads * each
}

/** Block: 32 tiles of one KV head. */
export function pageScore(a: usize, block: i32, scratch: usize): void {
  const segments = load<usize>(a, 12), kvHeads = load<i32>(a, 20), group = load<i32>(a, 16) / kvHeads
  const headDim = load<i32>(a, 24), type = boundType(load<i32>(a, 28)), count = load<i32>(a, 32), pageSize = load<i32>(a, 36)
  const row = load<usize>(a, 40) << 2
  const each = tileBlocks(segments, kvHeads, pageSize)
  const kvHead = block / each
  const segment = segmentOf(segments, kvHead)
  const channels = load<usize>(a, 8) + (<usize>(kvHead * count) << 2)
  const offsets = scratch, prepared = scratch + (<usize>(count + 1) << 2)
  const stride = strideOf(headDim)
  for (let i = 0; i < count; i++) store<usize>(offsets + (<usize>i << 2), load<usize>(channels + (<usize>i << 2)) * boundRowBytes(type))
  // The odd one out is paired with itself, times zero.
  store<usize>(offsets + (<usize>count << 2), count ? load<usize>(offsets) : 0)
  for (let h = 0; h < group; h += TOGETHER) {
    const together = min(TOGETHER, group - h)
    const head = kvHead * group + h
    for (let i = 0; i < together; i++)
      prepare(load<usize>(a, 4) + (<usize>((head + i) * headDim) << 2), channels, count, headDim, stride, type, prepared, i)
    scoreTiles(segment, block % each, headDim, type, pageSize, count, together, offsets, prepared, load<usize>(a) + <usize>head * row, row, 0)
  }
}

// questScore | out | query | segments | sets | heads | kvHeads | headDim | type | pageSize | stride |

export function questScoreBlocks(a: usize): i32 {
  const kvHeads = load<i32>(a, 20)
  setCost((min(load<i32>(a, 36), TILE_PAGES * BLOCK_TILES) * load<i32>(a, 24) * (load<i32>(a, 16) / kvHeads)) >> 10)
  return kvHeads * tileBlocks(load<usize>(a, 8), kvHeads, load<i32>(a, 32))
}

/**
 * Block: 32 tiles of one KV head. The larger of query × low and query × high is the one with the high where the query is
 * positive, so each head reads headDim rows of its own.
 */
export function questScore(a: usize, block: i32, scratch: usize): void {
  const segments = load<usize>(a, 8), sets = load<i32>(a, 12), kvHeads = load<i32>(a, 20), group = load<i32>(a, 16) / kvHeads
  const headDim = load<i32>(a, 24), type = boundType(load<i32>(a, 28)), pageSize = load<i32>(a, 32)
  const row = load<usize>(a, 36) << 2
  const each = tileBlocks(segments, kvHeads, pageSize)
  const kvHead = block / each
  const stride = strideOf(headDim)
  const bytes = <usize>(headDim + 1) << 2
  const channels = scratch, offsets = scratch + bytes, prepared = offsets + bytes
  const summed = sets == kvHeads && group > 1
  for (let h = 0; h < group; h++) {
    const head = kvHead * group + h
    const query = load<usize>(a, 4) + (<usize>(head * headDim) << 2)
    for (let c = 0; c < headDim; c++) {
      const at = <usize>c << 2
      const chosen = pageSize > 1 && load<f32>(query + at) > 0 ? stride + c : c
      store<i32>(channels + at, chosen)
      store<usize>(offsets + at, <usize>chosen * boundRowBytes(type))
    }
    store<usize>(offsets + (<usize>headDim << 2), 0)
    prepare(query, channels, headDim, headDim, stride, type, prepared, 0)
    const out = load<usize>(a) + <usize>(summed ? kvHead : head) * row
    scoreTiles(segmentOf(segments, kvHead), block % each, headDim, type, pageSize, headDim, 1, offsets, prepared, out, row, summed && h > 0 ? 1 : 0)
  }
}
