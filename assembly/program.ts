import * as op from './opcodes'
import { bind, blockCost, setCost } from './registers'
import { share } from './threads'
import { embed, embedBlocks } from './embed'
import { repack, repackBlocks } from './repack'
import { normalize, normalizeBlocks, quantize, quantizeBlocks, gate, gateBlocks } from './activation'
import { normalizeHeads, normalizeHeadsBlocks, join, joinBlocks } from './norm'
import { softcap, softcapBlocks } from './softcap'
import { project, projectBlocks } from './project'
import { ropeFrequencies, ropeFrequenciesBlocks, ropeTable, ropeTableBlocks, rope, ropeBlocks } from './rope'
import { append, appendBlocks, reposition, repositionBlocks, advance, advanceBlocks, observe, observeBlocks, gatherRows, gatherRowsBlocks } from './rows'
import { gather, gatherBlocks, pack, packBlocks } from './gather'
import { attend, attendBlocks } from './attend'
import { mergeChunks, mergeChunksBlocks } from './chunks'
import { sample, sampleBlocks } from './sample'
import { scoreWindow, scoreWindowBlocks, tokenScore, tokenScoreBlocks } from './window'
import { pool, poolBlocks, sumSets, sumSetsBlocks, chunkScore, chunkScoreBlocks, raiseLast, raiseLastBlocks } from './pool'
import { keyScore, keyScoreBlocks } from './keyScore'
import { topk, topkBlocks, shareRows, shareRowsBlocks, topChunks, topChunksBlocks } from './topk'
import { bounds, boundsBlocks } from './bounds'
import { chooseChannels, chooseChannelsBlocks, pageScore, pageScoreBlocks, questScore, questScoreBlocks, pageWeights, pageWeightsBlocks } from './page'
import { topPages, topPagesBlocks, firstAndLast, firstAndLastBlocks } from './topPages'
import { sumValues, sumValuesBlocks, blendMean, blendMeanBlocks } from './values'

/** Into how many independent blocks an operation is cut: by its shape alone, never by who runs it. */
function blocks(code: i32, a: usize): i32 {
  setCost(1)
  switch (code) {
    case op.embed: return embedBlocks(a)
    case op.repack: return repackBlocks(a)
    case op.normalize: return normalizeBlocks(a)
    case op.quantize: return quantizeBlocks(a)
    case op.gate: return gateBlocks(a)
    case op.project: return projectBlocks(a)
    case op.ropeFrequencies: return ropeFrequenciesBlocks(a)
    case op.ropeTable: return ropeTableBlocks(a)
    case op.rope: return ropeBlocks(a)
    case op.append: return appendBlocks(a)
    case op.reposition: return repositionBlocks(a)
    case op.advance: return advanceBlocks(a)
    case op.pack: return packBlocks(a)
    case op.observe: return observeBlocks(a)
    case op.attend: return attendBlocks(a)
    case op.mergeChunks: return mergeChunksBlocks(a)
    case op.sample: return sampleBlocks(a)
    case op.scoreWindow: return scoreWindowBlocks(a)
    case op.pool: return poolBlocks(a)
    case op.sumSets: return sumSetsBlocks(a)
    case op.chunkScore: return chunkScoreBlocks(a)
    case op.raiseLast: return raiseLastBlocks(a)
    case op.topk: return topkBlocks(a)
    case op.topChunks: return topChunksBlocks(a)
    case op.gather: return gatherBlocks(a)
    case op.gatherRows: return gatherRowsBlocks(a)
    case op.bounds: return boundsBlocks(a)
    case op.chooseChannels: return chooseChannelsBlocks(a)
    case op.pageScore: return pageScoreBlocks(a)
    case op.questScore: return questScoreBlocks(a)
    case op.tokenScore: return tokenScoreBlocks(a)
    case op.pageWeights: return pageWeightsBlocks(a)
    case op.topPages: return topPagesBlocks(a)
    case op.firstAndLast: return firstAndLastBlocks(a)
    case op.sumValues: return sumValuesBlocks(a)
    case op.blendMean: return blendMeanBlocks(a)
    case op.normalizeHeads: return normalizeHeadsBlocks(a)
    case op.join: return joinBlocks(a)
    case op.softcap: return softcapBlocks(a)
    case op.keyScore: return keyScoreBlocks(a)
    case op.shareRows: return shareRowsBlocks(a)
    default: return 0
  }
}

/** Runs one block. a: the operation's words; scratch: memory of this thread alone. */
export function execute(code: i32, a: usize, block: i32, scratch: usize): void {
  switch (code) {
    case op.embed: embed(a, block, scratch); break
    case op.repack: repack(a, block, scratch); break
    case op.normalize: normalize(a, block, scratch); break
    case op.quantize: quantize(a, block, scratch); break
    case op.gate: gate(a, block, scratch); break
    case op.project: project(a, block, scratch); break
    case op.ropeFrequencies: ropeFrequencies(a, block, scratch); break
    case op.ropeTable: ropeTable(a, block, scratch); break
    case op.rope: rope(a, block, scratch); break
    case op.append: append(a, block, scratch); break
    case op.reposition: reposition(a, block, scratch); break
    case op.advance: advance(a, block, scratch); break
    case op.pack: pack(a, block, scratch); break
    case op.observe: observe(a, block, scratch); break
    case op.attend: attend(a, block, scratch); break
    case op.mergeChunks: mergeChunks(a, block, scratch); break
    case op.sample: sample(a, block, scratch); break
    case op.scoreWindow: scoreWindow(a, block, scratch); break
    case op.pool: pool(a, block, scratch); break
    case op.sumSets: sumSets(a, block, scratch); break
    case op.chunkScore: chunkScore(a, block, scratch); break
    case op.raiseLast: raiseLast(a, block, scratch); break
    case op.topk: topk(a, block, scratch); break
    case op.topChunks: topChunks(a, block, scratch); break
    case op.gather: gather(a, block, scratch); break
    case op.gatherRows: gatherRows(a, block, scratch); break
    case op.bounds: bounds(a, block, scratch); break
    case op.chooseChannels: chooseChannels(a, block, scratch); break
    case op.pageScore: pageScore(a, block, scratch); break
    case op.questScore: questScore(a, block, scratch); break
    case op.tokenScore: tokenScore(a, block, scratch); break
    case op.pageWeights: pageWeights(a, block, scratch); break
    case op.topPages: topPages(a, block, scratch); break
    case op.firstAndLast: firstAndLast(a, block, scratch); break
    case op.sumValues: sumValues(a, block, scratch); break
    case op.blendMean: blendMean(a, block, scratch); break
    case op.normalizeHeads: normalizeHeads(a, block, scratch); break
    case op.join: join(a, block, scratch); break
    case op.softcap: softcap(a, block, scratch); break
    case op.keyScore: keyScore(a, block, scratch); break
    case op.shareRows: shareRows(a, block, scratch); break
  }
}

// A program is a row of operations, each | opcode | words in all | operands … |, every part an i32.

// @ts-ignore: decorator
@inline
function after(pc: usize): usize {
  return pc + (<usize>load<i32>(pc, 4) << 2)
}

/** Whether the operation at `next` is a product of the same activations as the one at pc, to another place: neither waits for the other. */
function alike(pc: usize, next: usize): bool {
  return load<i32>(next) == op.project && load<i32>(next, 8) != load<i32>(pc, 8) && (load<i32>(next, 44) | load<i32>(pc, 44)) == 0
    && load<i32>(next, 12) == load<i32>(pc, 12) && load<i32>(next, 16) == load<i32>(pc, 16) && load<i32>(next, 20) == load<i32>(pc, 20)
    && load<i32>(next, 40) == load<i32>(pc, 40)
}

/** Runs a block of the operation at pc; blocks that it does not have are those of the products that are shared out with it. */
export function executeAt(pc: usize, block: i32, scratch: usize): void {
  if (load<i32>(pc) == op.project)
    for (let n = projectBlocks(pc + 8); block >= n; n = projectBlocks(pc + 8)) {
      block -= n
      pc = after(pc)
    }
  execute(load<i32>(pc), pc + 8, block, scratch)
}

/** Thousands of multiply-adds from which handing blocks to other threads pays: about 10 µs. */
// @ts-ignore: decorator
@inline
const WORTH: i32 = 300

/**
 * Walks a program from where its registers stand (assembly/registers.ts) until its end or until each of the `threads` has done about
 * `budget` thousand multiply-adds; the registers then say where to go on. Returns 1 at the end, else 0.
 */
export function run(registers: usize, threads: i32, budget: i32): i32 {
  bind(registers)
  const scratch = load<usize>(registers, 24)
  let pc = load<usize>(registers)
  const end = load<usize>(registers, 4)
  let block = load<i32>(registers, 8)
  while (pc < end) {
    const code = load<i32>(pc)
    const a = pc + 8
    let n = blocks(code, a), next = after(pc)
    const cost = blockCost()
    // Products of the same activations are shared out as one: a barrier for query, key and value, one for gate and up.
    if (ASC_FEATURE_THREADS && threads > 1 && code == op.project)
      for (; next < end && alike(pc, next); next = after(next)) n += projectBlocks(next + 8)
    while (block < n) {
      if (budget <= 0) {
        store<usize>(registers, pc)
        store<i32>(registers, block, 8)
        return 0
      }
      if (ASC_FEATURE_THREADS && threads > 1 && n - block > 1 && <i64>cost * (n - block) >= WORTH) {
        const many = min(n - block, (budget / cost + 1) * threads)
        share(registers, pc, block, many)
        block += many
        budget -= <i32>min<i64>(<i64>many * cost / threads, i32.MAX_VALUE)
      } else {
        executeAt(pc, block++, scratch)
        budget -= cost
      }
    }
    block = 0
    pc = next
  }
  store<usize>(registers, pc)
  store<i32>(registers, 0, 8)
  return 1
}
