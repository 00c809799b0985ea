/** Two neighbours that may join. length: of both together, in UTF-16 units. */
export interface Pair { readonly score: number; readonly left: number; readonly right: number; readonly length: number }

export interface Queue {
  push(pair: Pair): void
  /** The pair of the highest score, of equals the leftmost; undefined where none is left. */
  pop(): Pair | undefined
}

const before = (a: Pair, b: Pair): boolean => a.score > b.score || a.score === b.score && a.left < b.left

/** A binary heap: parents come before their children, i has 2i + 1 and 2i + 2. */
export function createQueue(): Queue {
  const heap: Pair[] = []
  return {
    push(pair) {
      let at = heap.length
      for (; at > 0; at = at - 1 >> 1) {
        const parent = heap[at - 1 >> 1]!
        if (!before(pair, parent)) break
        heap[at] = parent
      }
      heap[at] = pair
    },
    pop() {
      const top = heap[0], last = heap.pop()
      if (!last || !heap.length) return top
      let at = 0
      for (;;) {
        let child = 2 * at + 1
        if (child + 1 < heap.length && before(heap[child + 1]!, heap[child]!)) child++
        if (child >= heap.length || !before(heap[child]!, last)) break
        heap[at] = heap[child]!
        at = child
      }
      heap[at] = last
      return top
    },
  }
}
