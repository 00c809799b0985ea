// Valid headers with bytes changed, cut out or doubled: a GgufError or a header that keeps its promises, quickly and in little memory.
import fc from 'fast-check'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { GgufError, openSource, readHeader } from '../../src/gguf/index.ts'
import { counting } from './counting.ts'
import { writeGguf } from './write.ts'

const valid = writeGguf({
  alignment: 32,
  metadata: {
    'general.architecture': 'llama', 'llama.block_count': 2, 'llama.rope.freq_base': { type: 'f32', value: 1e5 }, big: 2n ** 60n, yes: true,
    tokens: ['a', 'b', 'ab'], types: Int32Array.of(1, 1, 3), scores: Float32Array.of(0, -1),
    nested: { type: 'array', of: 'array', value: [{ type: 'array', of: 'u8', value: [1, 2] }] },
  },
  tensors: [
    { name: 'token_embd.weight', shape: [3, 32], type: 'Q4_0', values: new Float32Array(96).fill(0.5) },
    { name: 'output_norm.weight', shape: [32], type: 'F32', values: new Float32Array(32).fill(1) },
  ],
})

const at = fc.nat(valid.length - 1)
/** What lengths and counts in hostile files are. */
const word = fc.constantFrom(0n, 1n, 255n, 2n ** 16n, 2n ** 22n, 2n ** 24n, 2n ** 31n, 2n ** 32n - 1n, 2n ** 53n, 2n ** 63n, 2n ** 64n - 1n)
const change = fc.oneof(
  fc.record({ kind: fc.constant('byte' as const), at, byte: fc.nat(255) }),
  fc.record({ kind: fc.constant('word' as const), at, word }),
  fc.record({ kind: fc.constant('cut' as const), at, bytes: fc.nat(40) }),
  fc.record({ kind: fc.constant('double' as const), at, bytes: fc.nat(400) }),
  fc.record({ kind: fc.constant('end' as const), at }),
)
type Change = typeof change extends fc.Arbitrary<infer T> ? T : never

function apply(bytes: Uint8Array, change: Change): Uint8Array {
  const at = Math.min(change.at, bytes.length), head = bytes.subarray(0, at), tail = bytes.subarray(at)
  switch (change.kind) {
    case 'byte': return Uint8Array.of(...head, change.byte, ...tail.subarray(1))
    case 'word': return Uint8Array.of(...head, ...new Uint8Array(BigUint64Array.of(change.word).buffer), ...tail.subarray(8))
    case 'cut': return Uint8Array.of(...head, ...tail.subarray(change.bytes))
    case 'double': return Uint8Array.of(...head, ...tail.subarray(0, change.bytes), ...tail)
    case 'end': return head
  }
}

test('a thousand damaged headers', async () => {
  let refused = 0, read = 0
  const memory = process.memoryUsage().arrayBuffers, slowest = { ms: 0, bytes: 0 }
  await fc.assert(fc.asyncProperty(fc.array(change, { minLength: 1, maxLength: 4 }), async changes => {
    const bytes = changes.reduce(apply, valid)
    const source = counting(await openSource(bytes)), started = performance.now()
    try {
      const header = await readHeader(source)
      read++
      for (const tensor of header.tensors.values()) {
        assert.ok(tensor.offset >= header.bytes && tensor.offset + tensor.bytes <= bytes.length, tensor.name)
        assert.ok(tensor.shape.every(size => Number.isSafeInteger(size) && size > 0), tensor.name)
      }
    } catch (error) {
      if (!(error instanceof GgufError)) throw error
      assert.not.match(error.message, /[\n\u001b]|undefined|NaN|\[object/)
      refused++
    }
    assert.ok(source.bytes <= bytes.length, 'nothing is read twice')
    slowest.ms = Math.max(slowest.ms, performance.now() - started)
    slowest.bytes = Math.max(slowest.bytes, process.memoryUsage().arrayBuffers - memory)
  }), { numRuns: 1000, seed: 5 })
  assert.ok(refused > 100 && read > 100, `${refused} refused, ${read} read`)
  assert.ok(slowest.ms < 1000, `${slowest.ms} ms for one`)
  assert.ok(slowest.bytes < 64 * 2 ** 20, `${slowest.bytes} bytes held`)
})

test.run()
