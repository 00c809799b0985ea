/** What a sequence holds and costs. Bytes are those allocated, counts of tokens are means per KV head and layer. */
export interface Ledger {
  readonly tokensSeen: number
  readonly tokensHeld: number
  /** Keys, values, scales, positions, page bounds and sums of values, as allocated. */
  readonly kvBytes: number
  /** The same prompts and answers under `full`. */
  readonly kvBytesFull: number
  /** The most at any time, the layer that is being read in included. */
  readonly kvBytesPeak: number
  /** Rows whose keys and values the last decode step read, per KV head (or query head, where each chooses for itself). */
  readonly rowsReadPerStep: number
  /** All memory of the backend, weights included, now and at most. */
  readonly memoryBytes: number
  readonly memoryBytesPeak: number
  readonly afterPrefill: { readonly tokensHeld: number; readonly kvBytes: number }
  /** The method fell back to full attention. */
  readonly dense: boolean
}
