import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { flag, float, GgufError, integer, numbers, openSource, readHeader, text, texts, type ByteSource, type Header } from '../../src/gguf/index.ts'
import { firstReadBytes, headerBytesMax } from '../../src/gguf/limits.ts'
import { counting } from './counting.ts'
import { pen, randomLlama, valueTypes, writeGguf, type Typed, type Writable, type WritableTensor } from './write.ts'

const read = async (bytes: Uint8Array): Promise<Header> => readHeader(await openSource(bytes))

/** The message with which the header is refused. */
async function refusal(bytes: Uint8Array): Promise<string> {
  try {
    await read(bytes)
  } catch (error) {
    assert.instance(error, GgufError)
    assert.is((error as GgufError).code, 'model')
    return (error as GgufError).message
  }
  assert.unreachable('the header must be refused')
  return ''
}

const f32 = (name: string, shape: number[]): WritableTensor =>
  ({ name, shape, type: 'F32', values: new Float32Array(shape.reduce((a, b) => a * b)).fill(1) })
const file = (metadata: Record<string, Writable>, tensors: WritableTensor[] = [], more: { version?: number; alignment?: number } = {}): Uint8Array<ArrayBuffer> =>
  writeGguf({ metadata, tensors, ...more })

const everything: Record<string, Writable> = {
  u8: { type: 'u8', value: 255 }, i8: { type: 'i8', value: -128 }, u16: { type: 'u16', value: 65535 }, i16: { type: 'i16', value: -2 },
  u32: { type: 'u32', value: 2 ** 32 - 1 }, i32: { type: 'i32', value: -(2 ** 31) }, f32: { type: 'f32', value: 0.5 }, f64: { type: 'f64', value: 0.1 },
  yes: true, no: false, text: 'Ġ ∑ 🙂', empty: '', mark: '\ufeffx',
  u64: 2n ** 53n - 1n, big: 2n ** 64n - 1n, i64: { type: 'i64', value: -5n }, low: { type: 'i64', value: -(2n ** 63n) },
  texts: ['a', '', '\ufeff'], ids: Int32Array.of(1, -1, 3), scores: Float32Array.of(-0.5, 2),
  bytes: { type: 'array', of: 'u8', value: [1, 2] }, longs: { type: 'array', of: 'u64', value: [1n, 2n ** 64n - 1n] },
  doubles: { type: 'array', of: 'f64', value: [0.1] }, bools: { type: 'array', of: 'bool', value: [true, false] }, none: { type: 'array', of: 'f32', value: [] },
  nested: { type: 'array', of: 'array', value: [{ type: 'array', of: 'i16', value: [-1, 2] }, { type: 'array', of: 'string', value: ['x'] }] },
}

for (const version of [2, 3]) {
  test(`version ${version}: every type of metadata`, async () => {
    const header = await read(file(everything, [], { version }))
    assert.is(header.version, version)
    assert.equal(Object.fromEntries(header.metadata), {
      u8: 255, i8: -128, u16: 65535, i16: -2, u32: 2 ** 32 - 1, i32: -(2 ** 31), f32: 0.5, f64: 0.1,
      yes: true, no: false, text: 'Ġ ∑ 🙂', empty: '', mark: '\ufeffx',
      u64: 2 ** 53 - 1, big: 2n ** 64n - 1n, i64: -5, low: -(2n ** 63n),
      texts: ['a', '', '\ufeff'], ids: Int32Array.of(1, -1, 3), scores: Float32Array.of(-0.5, 2),
      bytes: Uint8Array.of(1, 2), longs: BigUint64Array.of(1n, 2n ** 64n - 1n), doubles: Float64Array.of(0.1),
      bools: [true, false], none: new Float32Array(0), nested: [Int16Array.of(-1, 2), ['x']],
    })
  })
}

for (const alignment of [1, 8, 32, 64, 4096]) {
  test(`alignment ${alignment}: offsets are absolute, shapes slowest first`, async () => {
    const bytes = file({ a: 'b' }, [f32('one', [3, 5]), f32('two', [2, 3, 4]), f32('three', [1])], { alignment })
    const header = await read(bytes)
    assert.is(header.alignment, alignment)
    assert.is(header.bytes % alignment, 0)
    const [one, two, three] = [...header.tensors.values()]
    assert.equal(one, { name: 'one', type: 'F32', shape: [3, 5], offset: header.bytes, bytes: 60 })
    assert.equal(two, { name: 'two', type: 'F32', shape: [2, 3, 4], offset: header.bytes + Math.ceil(60 / alignment) * alignment, bytes: 96 })
    assert.equal([...new Float32Array(bytes.slice(three!.offset, three!.offset + 4).buffer)], [1])
  })
}

test('getters: kinds, absence, and what was got instead', async () => {
  const header = await read(file(everything))
  assert.is(text(header, 'text'), 'Ġ ∑ 🙂')
  assert.is(integer(header, 'u64'), 2 ** 53 - 1)
  assert.is(float(header, 'f32'), 0.5)
  assert.is(flag(header, 'no', true), false)
  assert.equal(texts(header, 'texts'), ['a', '', '\ufeff'])
  assert.equal(numbers(header, 'ids'), Int32Array.of(1, -1, 3))
  assert.is(integer(header, 'absent', 7), 7)
  assert.is(text(header, 'absent', ''), '')
  const refused: [() => unknown, string][] = [
    [() => text(header, 'absent'), 'metadata absent must be a text, got nothing'],
    [() => text(header, 'u8'), 'metadata u8 must be a text, got 255'],
    [() => integer(header, 'f32'), 'metadata f32 must be a whole number, got 0.5'],
    [() => integer(header, 'big'), 'metadata big must be a whole number, got 18446744073709551615'],
    [() => float(header, 'text'), 'metadata text must be a finite number, got "Ġ ∑ 🙂"'],
    [() => flag(header, 'u8'), 'metadata u8 must be true or false, got 255'],
    [() => texts(header, 'bools'), 'metadata bools must be an array of texts, got an array of 2'],
    [() => numbers(header, 'texts'), 'metadata texts must be an array of numbers, got an array of 3'],
  ]
  for (const [body, message] of refused) assert.throws(body, (e: Error) => e instanceof GgufError && e.message === message, message)
})

test('types that cannot be computed with are read with their sizes', async () => {
  const header = await read(file({}, [{ name: 'w', shape: [2, 256], type: 14, bytes: new Uint8Array(420) }]))
  assert.equal(header.tensors.get('w'), { name: 'w', type: 'Q6_K', shape: [2, 256], offset: header.bytes, bytes: 420 })
})

test('a header larger than the first read takes few reads, each twice the last', async () => {
  const tokens = Array.from({ length: 300_000 }, (_, id) => `token ${id}`)
  const source = counting(await openSource(file({ tokens }, [f32('w', [2 ** 22])])))
  const header = await readHeader(source)
  assert.equal(header.metadata.get('tokens'), tokens)
  assert.is(source.reads, 3)
  assert.is(source.bytes, 7 * firstReadBytes)
})

test('other files, versions and byte orders', async () => {
  const valid = file({})
  const swap = (at: number, ...bytes: number[]): Uint8Array => valid.map((byte, i) => bytes[i - at] ?? byte)
  assert.is(await refusal(new Uint8Array(0)), 'bytes must be a GGUF file and begin with "GGUF", got ""')
  assert.is(await refusal(new TextEncoder().encode('{"a":1}')), 'bytes must be a GGUF file and begin with "GGUF", got "{\\"a\\""')
  assert.is(await refusal(swap(4, 1, 0, 0, 0)), 'bytes must be GGUF version 2 or 3, got 1')
  assert.is(await refusal(swap(4, 4, 0, 0, 0)), 'bytes must be GGUF version 2 or 3, got 4')
  assert.is(await refusal(swap(4, 0, 0, 0, 3)), 'bytes must be little endian, got a big-endian file')
})

/** A head with these counts, then what `body` writes. */
function crafted(tensors: number | bigint, keys: number | bigint, body: (out: ReturnType<typeof pen>) => void = () => {}): Uint8Array {
  const out = pen()
  out.raw(new TextEncoder().encode('GGUF'))
  out.number('u32', 3)
  out.number('u64', tensors)
  out.number('u64', keys)
  body(out)
  return out.done()
}
const most = 2n ** 64n - 1n
const key = (type: number, body: (out: ReturnType<typeof pen>) => void) => crafted(0, 1, out => { out.text('k'); out.number('u32', type); body(out) })
const tensor = (name: string, sizes: (number | bigint)[], type: number, offset: number | bigint) => crafted(1, 0, out => {
  out.text(name)
  out.number('u32', sizes.length)
  for (const size of sizes) out.number('u64', size)
  out.number('u32', type)
  out.number('u64', offset)
})
const arrays = (depth: number) => key(valueTypes.array, out => {
  for (let i = 1; i < depth; i++) { out.number('u32', valueTypes.array); out.number('u64', 1) }
  out.number('u32', valueTypes.u8)
  out.number('u64', 0)
})

const hostile: [string, Uint8Array, string][] = [
  ['keys', crafted(0, most), 'bytes: the number of keys must be at most 65536, got 18446744073709551615'],
  ['keys that are not there', crafted(0, 65536), 'bytes is truncated: bytes of key 1 of 65536 must end at byte 32, the file has 24'],
  ['tensors', crafted(most, 0), 'bytes: the number of tensors must be at most 131072, got 18446744073709551615'],
  ['a key', crafted(0, 1, out => out.number('u64', most)), 'bytes: bytes of key 1 of 1 must be at most 65535, got 18446744073709551615'],
  ['a text', key(valueTypes.string, out => out.number('u64', most)), 'bytes: bytes of k must be at most 16777216, got 18446744073709551615'],
  ['a text beyond the end', key(valueTypes.string, out => out.number('u64', 2 ** 24)), 'bytes is truncated: k must end at byte 16777261, the file has 45'],
  ['an array', key(valueTypes.array, out => { out.number('u32', 0); out.number('u64', most) }), 'bytes: elements of k must be at most 4194304, got 18446744073709551615'],
  ['an array beyond the end', key(valueTypes.array, out => { out.number('u32', 12); out.number('u64', 2 ** 22) }), 'bytes is truncated: k must end at byte 33554481, the file has 49'],
  ['texts beyond the end', key(valueTypes.array, out => { out.number('u32', 8); out.number('u64', 2 ** 22) }), 'bytes is truncated: k must end at byte 57, the file has 49'],
  ['a text in an array', key(valueTypes.array, out => { out.number('u32', 8); out.number('u64', 1); out.number('u64', most) }), 'bytes: bytes of k must be at most 16777216, got 18446744073709551615'],
  ['arrays in arrays', arrays(5), 'bytes: k must nest at most 4 arrays, got more'],
  ['many arrays', key(valueTypes.array, out => {
    out.number('u32', valueTypes.array)
    out.number('u64', 2 ** 16)
    for (let i = 0; i < 2 ** 16; i++) { out.number('u32', 0); out.number('u64', 0) }
  }), 'bytes must have at most 65536 arrays of metadata, got more'],
  ['a type', key(13, () => {}), 'bytes: k must have a type from 0 to 12, got 13'],
  ['a bool', key(valueTypes.bool, out => out.number('u8', 2)), 'bytes: k must be 0 or 1 as a bool, got 2'],
  ['an alignment', file({ 'general.alignment': 24 }), 'bytes: general.alignment must be a power of two up to 65536, got 24'],
  ['an alignment of 0', file({ 'general.alignment': 0 }), 'bytes: general.alignment must be a power of two up to 65536, got 0'],
  ['an alignment in words', file({ 'general.alignment': 'page' }), 'bytes: general.alignment must be a power of two up to 65536, got "page"'],
  ['a tensor name', crafted(1, 0, out => out.text('x'.repeat(256))), 'bytes: bytes of the name of tensor 1 of 1 must be at most 255, got 256'],
  ['no axes', tensor('w', [], 0, 0), 'bytes: tensor w must have 1 to 4 axes, got 0'],
  ['axes', tensor('w', [1, 1, 1, 1, 1], 0, 0), 'bytes: tensor w must have 1 to 4 axes, got 5'],
  ['an empty tensor', tensor('w', [4, 0], 0, 0), 'bytes: tensor w must have 1 to 9007199254740991 values, got 0'],
  ['sizes', tensor('w', [most, most], 0, 0), `bytes: tensor w must have 1 to 9007199254740991 values, got ${most * most}`],
  ['bytes', tensor('w', [2n ** 52n], 0, 0), 'bytes: tensor w must end within 9007199254740991 bytes, got 18014398509481984'],
  ['an offset', tensor('w', [1], 0, most - 31n), `bytes: tensor w must end within 9007199254740991 bytes, got ${most - 31n + 4n}`],
  ['an odd offset', tensor('w', [1], 0, 4), 'bytes: the offset of w must be a multiple of 32, got 4'],
  ['rows of half blocks', tensor('w', [48], 8, 0), 'bytes: rows of w must be a multiple of 32 values as Q8_0, got 48'],
  ['a type of no meaning', tensor('w', [32], 99, 0), 'tensor w must have a known type, got number 99; supported are F32, F16, BF16, Q8_0, Q4_0, Q4_1, Q5_0, Q5_1, Q2_K, Q3_K, Q4_K, Q5_K, Q6_K, Q8_K, IQ4_NL, IQ4_XS, TQ1_0, TQ2_0'],
  ['a type ggml gave up', tensor('w', [32], 31, 0), 'tensor w must have a known type, got Q4_0_4_4; supported are F32, F16, BF16, Q8_0, Q4_0, Q4_1, Q5_0, Q5_1, Q2_K, Q3_K, Q4_K, Q5_K, Q6_K, Q8_K, IQ4_NL, IQ4_XS, TQ1_0, TQ2_0'],
  ['a tensor beyond the end', tensor('w', [32], 0, 0), 'bytes is truncated: tensor w must end at byte 192, the file has 57'],
  ['a name that steers terminals', crafted(0, 2, out => {
    for (let i = 0; i < 2; i++) { out.text('\u001b[2J\n'); out.number('u32', 0); out.number('u8', 0) }
  }), 'bytes: key \ufffd[2J\ufffd must be there once, got it twice'],
]
for (const [what, bytes, message] of hostile) test(`refused: ${what}`, async () => assert.is(await refusal(bytes), message))

test('refused: two tensors of one name, two on the same bytes', async () => {
  assert.is(await refusal(file({}, [f32('w', [1]), f32('w', [1])])), 'bytes: tensor w must be there once, got it twice')
  const bytes = file({}, [f32('a', [16]), f32('b', [16])])
  const second = bytes.lastIndexOf(64, bytes.length - 129) // the only 64 in the head: the offset of b
  bytes[second] = 32
  const { bytes: start } = await read(file({}, [f32('a', [16]), f32('b', [16])]))
  assert.is(await refusal(bytes), `bytes: tensor b must begin at byte ${start + 64} or later, after a, got ${start + 32}`)
})

test('cut off at every byte of a small file, it is refused and says so', async () => {
  const whole = file(everything, [f32('one', [3, 5]), f32('two', [7])])
  const end = [...(await read(whole)).tensors.values()].map(tensor => tensor.offset + tensor.bytes).reduce((a, b) => Math.max(a, b))
  for (let n = 0; n < end; n++) {
    const message = await refusal(whole.subarray(0, n))
    assert.ok(n < 4 ? message.includes('must be a GGUF file') : message.includes('truncated') && message.endsWith(`the file has ${n}`), `${n}: ${message}`)
  }
  assert.is((await read(whole.subarray(0, end))).tensors.size, 2, 'zeros after the last tensor may be missing')
})

test('a header without end is refused before it fills the memory', async () => {
  const head = crafted(0, 65536)
  let bytes = 0
  const entry = 12 + 1 + 8 + 2 ** 24 // length, key, type, length, text
  const endless: ByteSource = { // the head, then keys a, b, c … with texts of the largest size
    name: 'endless', size: 2 ** 40,
    async read(offset, into) {
      bytes += into.length
      into.fill(0)
      for (let i = 0; i < into.length; i++) {
        const at = offset + i - head.length, place = at % entry
        if (at < 0) into[i] = head[offset + i]!
        else if (place === 0) into[i] = 1 // byte of a key
        else if (place === 8) into[i] = 97 + Math.floor(at / entry)
        else if (place === 9) into[i] = valueTypes.string
        else if (place === 16) into[i] = 1 // third byte of 2^24
        else if (place > 20) i += entry - place - 1
      }
    },
    async close() {},
  }
  try {
    await readHeader(endless)
    assert.unreachable()
  } catch (error) {
    assert.instance(error, GgufError)
    assert.match((error as Error).message, `endless must have a header of at most ${headerBytesMax} bytes`)
  }
  assert.ok(bytes <= headerBytesMax + 2 ** 25, `read ${bytes}`)
})

test('an abort stops the reading with its reason', async () => {
  const source = await openSource(file({}))
  const reason = new Error('enough')
  try {
    await readHeader(source, AbortSignal.abort(reason))
    assert.unreachable()
  } catch (error) {
    assert.is(error, reason)
  }
})

test('a random llama has what a runner asks for, and a seed repeats it', async () => {
  const shape = { layers: 1, heads: 2, kvHeads: 1, headDim: 8, dim: 32, hidden: 32, vocab: 1200, context: 64, type: 'Q8_0', tied: false, seed: 1 } as const
  const bytes = randomLlama({ ...shape, heads: 4 })
  const header = await read(bytes)
  const tokens = texts(header, 'tokenizer.ggml.tokens'), merges = texts(header, 'tokenizer.ggml.merges')
  assert.is(new Set(tokens).size, 1200)
  assert.is(merges.length, 1200 - 259)
  for (const merge of merges) {
    const [a, b] = merge.split(' ') as [string, string]
    assert.ok(tokens.indexOf(a) < tokens.indexOf(a + b) && tokens.includes(b), merge)
  }
  assert.equal(bytes, randomLlama({ ...shape, heads: 4 }))
  assert.not.equal(bytes, randomLlama({ ...shape, heads: 4, seed: 2 }))
  assert.is(integer(header, 'llama.attention.key_length'), 8)
  const typed: Typed = { type: 'f32', value: 10000 }
  assert.is(float(header, 'llama.rope.freq_base'), typed.value)
})

test.run()
