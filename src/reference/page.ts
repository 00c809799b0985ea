import { rowTypes, type Words } from '../kernels/operations.ts'
import { strideOf } from '../kernels/rows.ts'
import type { Memory, State } from './memory.ts'
import { nearest, smallestRow } from './nearest.ts'
import { liveOf, tilesOf, type Tiles } from './tiles.ts'
import { best } from './topk.ts'

const { fround } = Math

const queryOf = (m: Memory, query: number, head: number, headDim: number): Float32Array =>
  m.f32.slice(query / 4 + head * headDim, query / 4 + (head + 1) * headDim)

function chooseChannels(m: Memory, a: Words<'chooseChannels'>): void {
  const group = a.heads / a.kvHeads, count = Math.min(a.count, a.headDim)
  for (let h = 0; h < a.kvHeads; h++) {
    const size = new Float32Array(a.headDim), sum = new Float32Array(a.headDim)
    for (let g = 0; g < group; g++)
      queryOf(m, a.query, h * group + g, a.headDim).forEach((x, c) => {
        size[c]! += Math.abs(x)
        sum[c]! += x
      })
    const chosen = best(size, count)
    chosen.forEach((c, i) => {
      m.u32[a.channels / 4 + h * a.count + i] = a.pageSize > 1 && sum[c]! > 0 ? strideOf(a.headDim) + c : c
    })
    for (let g = 0; g < group; g++) {
      const query = queryOf(m, a.query, h * group + g, a.headDim).map(Math.abs)
      const part = chosen.reduce((sum, c) => sum + query[c]!, 0), all = query.reduce((sum, x) => sum + x, 0)
      m.f32[a.temperature / 4 + h * group + g] = part ? Math.sqrt((a.square || a.headDim) * part / all) : 1
    }
  }
}

/** A query as the tiles want it: in codes of one scale over all channels, or as it is. */
function coded(query: Float32Array, type: number): { query: Float32Array; scale: number } {
  if (type === rowTypes.f32) return { query, scale: 1 }
  const largest = query.reduce((top, x) => Math.max(top, Math.abs(x)), 0)
  if (largest < smallestRow) return { query: new Float32Array(query.length), scale: 0 }
  const inverse = fround(4095 / largest)
  return { query: query.map(x => nearest(fround(x * inverse))), scale: fround(largest / 4095) }
}

/** Σ query × bound over rows of the tiles, ascending; code sums of 128 rows at a time are exact, then added in f32. */
function score(tiles: Tiles, rows: readonly number[], headDim: number, { query, scale }: { query: Float32Array; scale: number }, page: number, type: number): number {
  const stride = strideOf(headDim), part = type === rowTypes.f32 ? rows.length : 128
  let total = 0
  for (let at = 0; at < rows.length; at += part)
    total = fround(total + fround(rows.slice(at, at + part).reduce((sum, row) => sum + query[row % stride]! * tiles.read(row, page), 0)))
  return type === rowTypes.f32 ? total : fround(total * fround(scale * tiles.scale(page)))
}

function pageScore(m: Memory, a: Words<'pageScore'>, state: State): void {
  const group = a.heads / a.kvHeads
  for (let h = 0; h < a.heads; h++) {
    const kvHead = Math.floor(h / group)
    const tiles = tilesOf(m, a.segments, kvHead, a.headDim, a.type, a.pageSize)
    const rows = [...m.u32.subarray(a.channels / 4 + kvHead * a.count, a.channels / 4 + (kvHead + 1) * a.count)]
    const query = coded(queryOf(m, a.query, h, a.headDim), a.type)
    for (let page = 0; page * a.pageSize < liveOf(m, a.segments, kvHead, state); page++)
      m.f32[a.out / 4 + h * a.stride + page] = score(tiles, rows, a.headDim, query, page, a.type)
  }
}

function questScore(m: Memory, a: Words<'questScore'>, state: State): void {
  const heads = a.heads / a.sets
  for (let s = 0; s < a.sets; s++) {
    const kvHead = Math.floor(s * a.kvHeads / a.sets)
    const tiles = tilesOf(m, a.segments, kvHead, a.headDim, a.type, a.pageSize)
    const queries = Array.from({ length: heads }, (_, i) => queryOf(m, a.query, s * heads + i, a.headDim))
    // The larger product is the one with the high bound where the query is positive, else with the low one.
    const rows = queries.map(query => [...query].map((x, c) => a.pageSize > 1 && x > 0 ? strideOf(a.headDim) + c : c))
    const codes = queries.map(query => coded(query, a.type))
    for (let page = 0; page * a.pageSize < liveOf(m, a.segments, kvHead, state); page++)
      m.f32[a.out / 4 + s * a.stride + page] =
        queries.reduce((sum, _, i) => fround(sum + score(tiles, rows[i]!, a.headDim, codes[i]!, page, a.type)), 0)
  }
}

function pageWeights(m: Memory, a: Words<'pageWeights'>, state: State): void {
  const group = a.heads / a.kvHeads
  for (let h = 0; h < a.kvHeads; h++) {
    const live = liveOf(m, a.segments, h, state), pages = Math.ceil(live / a.pageSize)
    const tokens = (page: number): number => Math.min(a.pageSize, live - page * a.pageSize)
    const weights = new Float64Array(pages)
    for (let g = 0; g < group; g++) {
      const head = h * group + g, temperature = a.temperature ? m.f32[a.temperature / 4 + head]! : 1
      const scores = Float64Array.from(m.f32.subarray(a.scores / 4 + head * a.stride, a.scores / 4 + head * a.stride + pages), x => x / temperature)
      const top = scores.reduce((top, x) => Math.max(top, x), -Infinity)
      const total = scores.reduce((sum, x, page) => sum + tokens(page) * Math.exp(x - top), 0)
      scores.forEach((x, page) => { weights[page]! += Math.exp(x - top) / total / group })
    }
    m.f32.set(weights, a.out / 4 + h * a.stride)
  }
}

const family = { chooseChannels, pageScore, questScore, pageWeights }
export { family as page }
