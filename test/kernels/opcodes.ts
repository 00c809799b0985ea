/** Instructions of 0xfd behind which something follows their number: a memory operand, a lane, or both; 12 and 13 have 16 bytes. */
const vectorMemory = (op: number): boolean => op <= 11 || op >= 84 && op <= 93
const vectorLane = (op: number): boolean => op >= 21 && op <= 34 || op >= 84 && op <= 91

/**
 * Every instruction that the functions of a wasm module use, as prefix × 65536 + number (0 × 65536 + opcode for those of one byte).
 * Knows what AssemblyScript emits; a body that does not end where its length says is an error.
 */
export function opcodes(wasm: Uint8Array): Set<number> {
  const used = new Set<number>()
  let at = 8
  const leb = (): number => {
    let value = 0
    for (let shift = 0; ; shift += 7) {
      const byte = wasm[at++]!
      if (shift < 32) value |= (byte & 127) << shift
      if (byte < 128) return value >>> 0
    }
  }
  const skip = (count: number): void => { while (count-- > 0) leb() }
  const prefixed = (prefix: number): void => {
    const op = leb()
    used.add(prefix << 16 | op)
    if (prefix === 0xfc) skip(op < 8 ? 0 : op === 9 || op === 11 ? 1 : 2)
    else if (prefix === 0xfe) skip(op === 3 ? 1 : 2)
    else {
      if (op === 12 || op === 13) at += 16
      if (vectorMemory(op)) skip(2)
      if (vectorLane(op)) at++
    }
  }
  const instruction = (): void => {
    const op = wasm[at++]!
    if (op >= 0xfc) return prefixed(op)
    used.add(op)
    if (op >= 0x02 && op <= 0x04 || op === 0x0c || op === 0x0d || op === 0x10 || op >= 0x20 && op <= 0x26 || op >= 0x3f && op <= 0x42) skip(1)
    else if (op === 0x0e) skip(leb() + 1)
    else if (op === 0x11 || op >= 0x28 && op <= 0x3e) skip(2)
    else if (op === 0x43 || op === 0x44) at += op === 0x43 ? 4 : 8
    else if (op === 0x1c || op >= 0xc5) throw new RangeError(`an instruction must be one that is known here, got 0x${op.toString(16)} at ${at - 1}`)
  }
  const body = (): void => {
    const length = leb(), end = at + length
    for (let groups = leb(); groups > 0; groups--) skip(2)
    while (at < end) instruction()
    if (at !== end || wasm[at - 1] !== 0x0b) throw new RangeError(`a body must end at ${end}, got ${at}`)
  }
  while (at < wasm.length) {
    const section = wasm[at++]!, length = leb(), end = at + length
    if (section === 10) for (let functions = leb(); functions > 0; functions--) body()
    at = end
  }
  return used
}
