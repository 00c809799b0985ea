/** Element types of a tensor. f64 holds rotary frequencies only; u8 is packed bytes. */
export type Type = 'f64' | 'f32' | 'u32' | 'i32' | 'i16' | 'u8'

/** A place in a backend's memory, planned before the run. Numbers come back only through `read`. */
export interface Tensor {
  readonly shape: readonly number[]
  readonly type: Type
  /** Where it lies in the backend's memory. */
  readonly address: number
  readonly bytes: number
}

export type Data = Float64Array | Float32Array | Uint32Array | Int32Array | Int16Array | Uint8Array

const arrays = { f64: Float64Array, f32: Float32Array, u32: Uint32Array, i32: Int32Array, i16: Int16Array, u8: Uint8Array } as const

/** Bytes of one element. */
export const elementBytes = (type: Type): number => arrays[type].BYTES_PER_ELEMENT

/** A typed view of `length` elements at byte `address` of `buffer`. */
export function viewAt(buffer: ArrayBufferLike, type: Type, address: number, length: number): Data {
  return new arrays[type](buffer as ArrayBuffer, address, length)
}
