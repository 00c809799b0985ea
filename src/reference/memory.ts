import { registerWords } from '../kernels/machine.ts'

/** Typed views of the reference's memory. Indices are addresses divided by the element's size. */
export interface Memory {
  readonly f64: Float64Array
  readonly f32: Float32Array
  readonly u32: Uint32Array
  readonly i32: Int32Array
  readonly i16: Int16Array
  readonly u8: Uint8Array
}

export const viewsOf = (buffer: ArrayBuffer): Memory => ({
  f64: new Float64Array(buffer), f32: new Float32Array(buffer), u32: new Uint32Array(buffer),
  i32: new Int32Array(buffer), i16: new Int16Array(buffer), u8: new Uint8Array(buffer),
})

/** The registers T, P and R of src/kernels/operations.ts. */
export interface State { readonly tokens: number; readonly position: number; readonly row: number }

export const stateOf = (m: Memory, registers: number): State => ({
  tokens: m.u32[registers / 4 + registerWords.tokens]!,
  position: m.u32[registers / 4 + registerWords.position]!,
  row: m.u32[registers / 4 + registerWords.row]!,
})
