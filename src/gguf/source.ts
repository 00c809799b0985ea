/** A file that can be read in ranges. Several reads may be under way at once. */
export interface ByteSource {
  readonly name: string
  /** bytes */
  readonly size: number
  /**
   * Fills `into` wholly from byte `offset`, or throws. `into` may be a view on WebAssembly memory, which must not
   * grow meanwhile: growing detaches the view.
   */
  read(offset: number, into: Uint8Array, signal?: AbortSignal): Promise<void>
  close(): Promise<void>
}

/** Refuses a range outside the source: the header's offsets are checked, so this is the caller's mistake. */
export function checkRange(name: string, size: number, offset: number, bytes: number): void {
  if (!Number.isSafeInteger(offset) || offset < 0 || offset + bytes > size)
    throw new RangeError(`read: ${bytes} bytes at ${offset} must lie within the ${size} bytes of ${name}`)
}

/** An error of the platform in few words: its code (ENOENT) where it has one. */
export function reason(cause: unknown): string {
  if (!(cause instanceof Error)) return String(cause)
  const { code } = cause as Error & { code?: unknown }
  return typeof code === 'string' ? code : cause.cause instanceof Error ? reason(cause.cause) : cause.message
}
