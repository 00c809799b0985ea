import type { Kernels } from './kernels.ts'
import type { Tensor } from './tensor.ts'

/** Runs `body`; where it throws, the tensors it took are given back. The kernels it is lent are for the call alone. */
export function whole<T>(k: Kernels, body: (k: Kernels) => T): T {
  const taken = new Set<Tensor>()
  try {
    return body({
      ...k,
      tensor(shape, type) {
        const t = k.tensor(shape, type)
        taken.add(t)
        return t
      },
      free(...tensors) {
        for (const t of tensors) if (t) taken.delete(t)
        k.free(...tensors)
      },
    })
  } catch (error) {
    k.free(...taken)
    throw error
  }
}
