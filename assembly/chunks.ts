import { countOf, F32, segmentOf, strideOf, vectorBytes } from './segment'
import { setCost, tokens } from './registers'
import { merge4 } from './softmax'
import { mergeAt } from './weigh'
import { Work } from './work'

// What attention over a long cache is cut into: chunks of 1024 rows, whose results merge in ascending order. A query's chunk is a
// row of partials [chunks, heads, 2 + stride] f32:  | most | sum | weighted values [stride] |

/** Rows of a chunk: chunkRows in src/kernels/rows.ts. */
// @ts-ignore: decorator
@inline
export const CHUNK: i32 = 1024

// @ts-ignore: decorator
@inline
export function chunksOf(rows: i32): i32 {
  return (rows + CHUNK - 1) / CHUNK
}

/** Bytes of one query's chunk. */
// @ts-ignore: decorator
@inline
function partialBytes(headDim: i32): usize {
  return <usize>(2 + strideOf(headDim)) << 2
}

/** What the block's queries, heads `head` … of `heads`, hold of a chunk. */
export function storeChunk(w: Work, partials: usize, chunk: i32, heads: i32, head: i32): void {
  let to = partials + <usize>(chunk * heads + head) * partialBytes(w.headDim)
  for (let i: usize = 0; i < <usize>w.n; i++, to += partialBytes(w.headDim)) {
    store<f32>(to, load<f32>(w.most + (i << 2)))
    store<f32>(to, load<f32>(w.sum + (i << 2)), 4)
    memory.copy(to + 8, w.o + i * w.wide, w.wide)
  }
}

// mergeChunks | out | partials | segments | heads | kvHeads | headDim |

export function mergeChunksBlocks(a: usize): i32 {
  const heads = load<i32>(a, 12), kvHeads = load<i32>(a, 16)
  setCost(<i32>(<i64>chunksOf(countOf(load<usize>(a, 8)) + tokens()) * 2 * load<i32>(a, 20) * (heads / kvHeads) / 1000))
  return kvHeads
}

/** Block: the heads of one KV head, in the order and with the functions of attend.ts. scratch: most, sum, keep, take [4] f32, then [stride] f32. */
export function mergeChunks(a: usize, block: i32, scratch: usize): void {
  const heads = load<i32>(a, 12), group = heads / load<i32>(a, 16), headDim = load<i32>(a, 20)
  const most = scratch, sum = scratch + 16, keep = scratch + 32, take = scratch + 48, o = scratch + 64
  const wide = vectorBytes(F32, headDim), step = <usize>heads * partialBytes(headDim)
  const chunks = chunksOf(countOf(segmentOf(load<usize>(a, 8), block)) + tokens())
  for (let head = block * group, end = head + group; head < end; head++) {
    v128.store(most, f32x4.splat(-Infinity))
    v128.store(sum, f32x4.splat(0))
    memory.fill(o, 0, wide)
    let from = load<usize>(a, 4) + <usize>head * partialBytes(headDim)
    for (let i = 0; i < chunks; i++, from += step) {
      // Lane 0 alone is this query's.
      merge4(most, sum, from, from + 4, keep, take)
      for (let c: usize = 0; c < wide; c += 32) mergeAt(o + c, v128.load(from + c, 8), v128.load(from + c, 24), keep, take)
    }
    const by = v128.load32_splat(sum)
    for (let c: usize = 0; c < wide; c += 16) v128.store(o + c, f32x4.div(v128.load(o + c), by))
    memory.copy(load<usize>(a) + (<usize>(head * headDim) << 2), o, <usize>headDim << 2)
  }
}
