import type { Tensor } from './tensor.ts'

/**
 * Every operation a backend implements: its operands in the order in which a program stores them, one 32-bit word
 * each. `t` is a tensor (its address), `o` an optional tensor (0 where there is none), `i` an integer, `f` an f32; `o?`, `i?` and `f?` are 0
 * where they are left out.
 *
 * T, P and R are the registers that change between runs: T rows in this batch, P the position of the first of them, R its
 * row in tensors that hold the whole prompt (hidden states, ids, rotary table). A program that compresses runs with T = 0
 * and P = the tokens seen. "live" rows of a segment are count + T: appended rows count from `advance` on.
 *
 * Shapes are slowest axis first. group = heads / kvHeads; query head h belongs to KV head floor(h / group).
 */
export const operations = {
  // Model

  /** out [·, dim] f32 row R + i = weights row ids[R + i] × scale. ids [·] u32, packed weights [rows, dim]. */
  embed: { out: 't', ids: 't', packed: 't', layout: 'i', rows: 'i', dim: 'i', scale: 'f' },
  /** Packs GGUF blocks of `type` (see `sources`) into its layout. source: `rows` rows of `columns` as in the file; out: packed from row `first` (a multiple of 8). */
  repack: { out: 't', source: 't', type: 'i', layout: 'i', rows: 'i', columns: 'i', first: 'i' },
  /** RMS norm of x [·, dim] f32 rows R + i, times weight [dim] → activations row i (see `Activations`). */
  normalize: { values: 'o', codes: 'o', blocks: 'o', x: 't', weight: 't', dim: 'i', epsilon: 'f' },
  /** x [T, dim] f32, or (residual 1) rows R + i of x [·, dim] f32 → activations. */
  quantize: { values: 'o', codes: 'o', blocks: 'o', x: 't', dim: 'i', residual: 'i?' },
  /** silu(gate) × up, or (gelu 1) gelu(gate) × up in the form with tanh, both [T, dim] f32 → activations. */
  gate: { values: 'o', codes: 'o', blocks: 'o', gate: 't', up: 't', dim: 'i', gelu: 'i?' },
  /** RMS norm of each head of x [T, heads, headDim] f32 in place, times weight [headDim]. */
  normalizeHeads: { x: 't', weight: 't', heads: 'i', headDim: 'i', epsilon: 'f' },
  /** Rows R + i of out [·, dim] f32 += scale × row i of x [T, dim] f32, or, with weight [dim], scale × its RMS norm times weight. x may change. */
  join: { out: 't', x: 't', weight: 'o', dim: 'i', epsilon: 'f', scale: 'f' },
  /** x [T, n] f32 in place = cap × tanh(scale × x / cap); scale × x where cap is 0. */
  softcap: { x: 't', n: 'i', scale: 'f', cap: 'f' },
  /**
   * out = activations [T, columns] × weights [rows, columns]ᵀ (+ bias [rows]). residual 0: out [T, rows] is written;
   * 1: rows R + i of out [·, rows] are added to. exact 1: weights become f32 tile by tile and meet `values`; 0: integer layouts meet codes.
   */
  project: { out: 't', values: 'o', codes: 'o', blocks: 'o', packed: 't', bias: 'o', layout: 'i', rows: 'i', columns: 'i', residual: 'i', exact: 'i' },
  /** out [rotary / 2] f64 = base^(−2i / rotary) / factors[i]. */
  ropeFrequencies: { out: 't', factors: 'o', rotary: 'i', base: 'f' },
  /** out [·, rotary / 2, 2] f32: cosine and sine of (P + i) × frequency, both times magnitude, in row R + i. */
  ropeTable: { out: 't', frequencies: 't', rotary: 'i', magnitude: 'f' },
  /** Rotates x [T, heads, headDim] f32 in place by table rows R + i. halves 0: pairs (2c, 2c + 1); 1: (c, c + rotary / 2). */
  rope: { x: 't', table: 't', heads: 'i', headDim: 'i', rotary: 'i', halves: 'i' },
  /** Stores keys and values [T, kvHeads, headDim] f32 as rows count + i at positions P + i; of packed types (q8, q4, q2) in the tail. `type`: see `rowTypes`. */
  append: { segments: 't', keys: 't', values: 't', kvHeads: 'i', headDim: 'i', type: 'i' },
  /** Positions of the rows count + i that were appended in this run: positions[R + i], positions [·] u32, in place of P + i. */
  reposition: { segments: 't', positions: 't', kvHeads: 'i', headDim: 'i', type: 'i' },
  /** count += T for every KV head: what was appended is part of the cache from here on. */
  advance: { segments: 't', kvHeads: 'i' },
  /** Packed types: the tail's whole groups of 64 rows go to the end of base, which must have room for them; the rest moves to the tail's front. */
  pack: { segments: 't', kvHeads: 'i', headDim: 'i', type: 'i' },
  /** ring [window, heads, headDim] f32: the rotated query [T, heads, headDim] at position P + i goes to row (P + i) mod window. */
  observe: { ring: 't', query: 't', heads: 'i', headDim: 'i', window: 'i' },
  /**
   * out [T, heads, headDim] f32 = softmax(query·keys × scale)·values, query i over the rows before count + i + 1; or, with
   * `rows` [sets, capacity] u32 and `counts` [sets] u32 and T = 1, over the rows listed. sets is kvHeads or heads. With `partials`
   * [chunks, heads, 2 + stride] f32, T = 1 and no `rows`, out stays as it is; each head's largest score m, Σ e^(score − m) and Σ e^(score − m) × value
   * (padded with zeros) over each chunk of `chunkRows` rows go there, for `mergeChunks`. chunks covers the live rows of the longest head.
   *
   * cap: scores become cap × tanh(score / cap); 0: they stay. Only where neither rows are listed nor chunks stored: window, the newest rows that a
   * query sees, 0: all; before, rows that were dropped before row 0, a multiple of 64, so that sums keep their order.
   */
  attend: { out: 't', query: 't', segments: 't', rows: 'o', counts: 'o', sets: 'i', capacity: 'i', heads: 'i', kvHeads: 'i', headDim: 'i', type: 'i', scale: 'f', partials: 'o', cap: 'f?', window: 'i?', before: 'i?' },
  /** out [heads, headDim] f32: the chunks of the live rows merged, ascending: what `attend` without `partials` gives, bit for bit. T = 1. */
  mergeChunks: { out: 't', partials: 't', segments: 't', heads: 'i', kvHeads: 'i', headDim: 'i' },
  /**
   * Picks the next id from logits [n] f32 into out[0] u32: the first maximum where temperature is 0; else penalty on the
   * ids of history [historyCapacity] u32 (`historyCount` [1] u32 of them are set), then top-k, top-p, min-p, temperature. state [2] u32 is the generator's.
   */
  sample: { out: 't', logits: 't', n: 'i', history: 'o', historyCount: 'o', state: 't', temperature: 'f', topK: 'i', topP: 'f', minP: 'f', penalty: 'f' },

  // Scoring the prompt (T = 0)

  /**
   * out [sets, stride] f32: for each key before the window, the attention it gets from the last `window` queries (in `ring`
   * of `ringRows` rows, the newest at position P − 1), softmax over all keys, causal inside the window, capped as in `attend`, summed over the window
   * and, where sets is kvHeads, over the group. Columns from tokens − window on are 0; tokens is that of the set's KV head, no more than its count. SnapKV, arXiv:2404.14469.
   */
  scoreWindow: { out: 't', ring: 't', segments: 't', sets: 'i', stride: 'i', tokens: 'i', heads: 'i', kvHeads: 'i', headDim: 'i', type: 'i', ringRows: 'i', window: 'i', scale: 'f', cap: 'f?' },
  /**
   * out [kvHeads, stride] f32 of each row's key k, 0 from count up to `tokens`. difference 0: −‖k‖; 1: −cosine of k and the mean of all keys, each over its
   * norm, 0 where k is 0. L2 norm, arXiv:2406.11430; KeyDiff, arXiv:2504.15364.
   */
  keyScore: { out: 't', segments: 't', kvHeads: 'i', stride: 'i', tokens: 'i', headDim: 'i', type: 'i', difference: 'i' },
  /** out [sets, stride] = maximum (1) or average (0, always divided by `kernel`) of scores over `kernel` neighbours (odd, any number) inside [0, tokens). */
  pool: { out: 't', scores: 't', sets: 'i', stride: 'i', tokens: 'i', kernel: 'i', maximum: 'i' },
  /** out [1, stride] = sum of scores [sets, stride] over the sets. */
  sumSets: { out: 't', scores: 't', sets: 'i', stride: 'i', tokens: 'i' },
  /** out [sets, stride]: every token gets the sum (mean 0) or the mean (1) of its chunk of `chunk` tokens; the last may be short. ChunkKV, arXiv:2502.00299. */
  chunkScore: { out: 't', scores: 't', sets: 'i', stride: 'i', tokens: 'i', chunk: 'i', mean: 'i' },
  /** In place: scores [sets, stride] × scale, then the last `last` of `tokens` columns of every set become the largest of all sets + 1. */
  raiseLast: { scores: 't', sets: 'i', stride: 'i', tokens: 'i', last: 'i', scale: 'f' },

  // Choosing and moving rows (T = 0)

  /**
   * rows [sets, capacity] u32 ascending, counts [sets] u32: per set the first `first`, the last `last` and the best of the rest
   * of `tokens` by scores [sets, stride], min(keep[set], tokens, capacity) in all but never fewer than the first and the last,
   * for which capacity must suffice. Ties keep the earlier, NaN is below everything. With `segments` sets is kvHeads, and each set has no more tokens
   * than its KV head has rows.
   */
  topk: { rows: 't', counts: 't', scores: 't', keep: 't', sets: 'i', stride: 'i', tokens: 'i', first: 'i', last: 'i', capacity: 'i', segments: 'o?' },
  /**
   * keep [kvHeads] u32, as `topk` with `segments` takes it: KV heads share `total` rows by scores [kvHeads, stride]. Each keeps its first `first` and last
   * `last` rows and its best, up to `floor` of them in all; what is left of `total` goes to the best rows of all heads together, ties to the
   * earlier head, then the earlier row. No head keeps more than its rows. AdaKV, arXiv:2407.11550, Algorithm 1.
   */
  shareRows: { keep: 't', scores: 't', segments: 't', kvHeads: 'i', stride: 'i', tokens: 'i', first: 'i', last: 'i', floor: 'i', total: 'i' },
  /** Like topk, in whole chunks: the `chunks` chunks with the highest mean score (in f32), the short last one a chunk too. capacity is at least min(chunks × chunk, tokens). */
  topChunks: { rows: 't', counts: 't', scores: 't', sets: 'i', stride: 'i', tokens: 'i', chunk: 'i', chunks: 'i', capacity: 'i' },
  /** In place: row i of x [·, width] f32 becomes its row rows[i]. rows [count] u32, ascending. FastKV, arXiv:2502.01068. */
  gatherRows: { x: 't', rows: 't', count: 'i', width: 'i' },
  /**
   * Rows of `from` become the rows of `to` (count = counts[set]), all of them where `rows` is null; sets is 1 or kvHeads. In place where both are the
   * same. type: of `to`; fromType: of `from`, another only where `to` is packed, which packs whole groups (from f32 numbers) and is never `from` itself.
   */
  gather: { to: 't', from: 't', rows: 'o', counts: 'o', sets: 'i', capacity: 'i', kvHeads: 'i', headDim: 'i', type: 'i', fromType: 'i' },
  /**
   * Page bounds of the live rows from their stored keys: of all pages (1), or of those the T appended rows lie in (0). Not f32: largest |bound| / 4094
   * (at least 2^−126) is the page's scale, codes are the nearest whole numbers with f32(code × scale) no higher than the low, no lower than the high.
   */
  bounds: { segments: 't', kvHeads: 'i', headDim: 'i', type: 'i', pageSize: 'i', all: 'i' },

  // Selecting rows to read (T = 1)

  /**
   * RocketKV, arXiv:2502.14051, Algorithm 1: per KV head the `count` channels with the largest Σ over the group of |query|
   * (ties: the lower), ascending, as rows of a bounds tile: d (low) or stride + d (high, where Σ query > 0); always d where
   * pageSize is 1. temperature [heads] f32 = √(square × Σ chosen |q| / Σ |q|), 1 where
   * that is 0; square is 1 / scale², headDim unless given. query [heads, headDim] f32.
   */
  chooseChannels: { channels: 't', temperature: 't', query: 't', heads: 'i', kvHeads: 'i', headDim: 'i', count: 'i', pageSize: 'i', square: 'f?' },
  /** out [heads, stride] f32: Σ over the chosen channels of query × bound, per live page. channels [kvHeads, count] u32. */
  pageScore: { out: 't', query: 't', channels: 't', segments: 't', heads: 'i', kvHeads: 'i', headDim: 'i', type: 'i', count: 'i', pageSize: 'i', stride: 'i' },
  /** out [sets, stride] f32: Σ over all channels of max(query·low, query·high); per query head, or summed over the group. Quest, arXiv:2406.10774. */
  questScore: { out: 't', query: 't', segments: 't', sets: 'i', heads: 'i', kvHeads: 'i', headDim: 'i', type: 'i', pageSize: 'i', stride: 'i' },
  /** out [heads, stride] f32 = scale × query·key of every live row, capped as in `attend`. */
  tokenScore: { out: 't', query: 't', segments: 't', heads: 'i', kvHeads: 'i', headDim: 'i', type: 'i', stride: 'i', scale: 'f', cap: 'f?' },
  /** out [kvHeads, stride] f32: a page's weight per token, softmax over tokens of scores / temperature, mean over the group. temperature null: 1. */
  pageWeights: { out: 't', scores: 't', temperature: 'o', segments: 't', heads: 'i', kvHeads: 'i', pageSize: 'i', stride: 'i' },
  /**
   * rows [sets, capacity] u32 ascending, counts [sets]: tokens of the best pages by weights [sets, stride] (ties: the earlier
   * page) until `tokens` are taken, the last page cut to its first rows; besides them the `first` first and `last` newest rows, whose
   * pages take nothing of `tokens` where they hold no other rows. sets is kvHeads or heads. capacity is at least tokens + first + last, and pageSize with newest.
   * newest 1: whole pages, floor(tokens / pageSize) of them but at least one, the page of the newest row always among them; all where tokens
   * are as many as the live rows.
   */
  topPages: { rows: 't', counts: 't', weights: 't', segments: 't', sets: 'i', kvHeads: 'i', pageSize: 'i', stride: 'i', tokens: 'i', first: 'i', last: 'i', newest: 'i', capacity: 'i' },
  /** rows [kvHeads, capacity] u32, counts [kvHeads]: the first `first` and the newest `last` live rows. */
  firstAndLast: { rows: 't', counts: 't', segments: 't', kvHeads: 'i', first: 'i', last: 'i', capacity: 'i' },
  /** sums [kvHeads, headDim] f32: the sum of all live values; of all (1) afresh, or the T appended ones added (0). SparQ, arXiv:2312.04985. */
  sumValues: { sums: 't', segments: 't', kvHeads: 'i', headDim: 'i', type: 'i', all: 'i' },
  /**
   * out [heads, headDim] f32 = α out + (1 − α) mean value; α is the share of softmax(scores [heads, stride] / temperature) over
   * the live rows that falls on the chosen rows [sets, capacity]; where all were chosen out stays as it is. SparQ, arXiv:2312.04985, Algorithm 1.
   */
  blendMean: { out: 't', sums: 't', scores: 't', temperature: 't', rows: 't', counts: 't', segments: 't', sets: 'i', capacity: 'i', heads: 'i', kvHeads: 'i', headDim: 'i', stride: 'i' },
} as const

export type OperationName = keyof typeof operations
type Kind = 't' | 'o' | 'i' | 'f' | 'o?' | 'i?' | 'f?'
type Operand<K extends Kind> = K extends 't' ? Tensor : K extends 'o' | 'o?' ? Tensor | null : number
/** Those of an operation's operands that may be left out. */
type Optional<N extends OperationName> = { [F in keyof (typeof operations)[N]]: (typeof operations)[N][F] extends 'o?' | 'i?' | 'f?' ? F : never }[keyof (typeof operations)[N]]
/** What a caller hands to an operation. */
export type Operands<N extends OperationName> = { readonly [F in Exclude<keyof (typeof operations)[N], Optional<N>>]: Operand<(typeof operations)[N][F] & Kind> }
  & { readonly [F in Optional<N>]?: Operand<(typeof operations)[N][F] & Kind> }
/** What a program holds: addresses and numbers under the same names. */
export type Words<N extends OperationName> = { readonly [F in keyof (typeof operations)[N]]: number }
/** One method an operation; a call records it. */
export type Operations = { [N in OperationName]: (operands: Operands<N>) => void }

/** How a cache row stores its keys and values. */
export const rowTypes = { f32: 0, i16: 1, q8: 2, q4: 3, q2: 4 } as const
export type RowType = keyof typeof rowTypes
