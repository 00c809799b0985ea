// RocketKV without a model: hand over keys, values and queries of one layer, get attention over the rows it chooses.
// After `npm run build`: node --import tsx examples/attention.ts
import { createAttention } from 'pocketkv/attention'
import { rocketkv } from 'pocketkv/methods/rocketkv'
import { wasm } from 'pocketkv/wasm'

const heads = 8, kvHeads = 2, headDim = 64, tokens = 4096, answer = 32
const attention = createAttention({ kernels: await wasm(), heads, kvHeads, headDim, policy: rocketkv(), budget: 256 })

// Stands for a model's rotated keys and queries, and values: seeded noise.
let state = 1
const numbers = (n: number) => Float32Array.from({ length: n }, () => (state = Math.imul(state, 48271) >>> 0) / 2 ** 31 - 1)

const plan = attention.plan(tokens, answer)
console.log(`keeps ${plan.kept} of ${tokens} rows, reads ${plan.read} a step by ${plan.channels} channels of pages of ${plan.pageSize}`)

// The prompt, in pieces: its rows, and their queries, of which the newest choose what is kept.
for (let from = 0; from < tokens; from += 1024) {
  await attention.append(numbers(1024 * kvHeads * headDim), numbers(1024 * kvHeads * headDim))
  await attention.observe(numbers(1024 * heads * headDim))
}
const kept = await attention.compress()
console.log(`kept rows of KV head 0: ${kept[0]!.slice(0, 6).join(', ')}, …`)

// The answer, token by token.
for (let step = 0; step < answer; step++) {
  const query = numbers(heads * headDim)
  await attention.append(numbers(kvHeads * headDim), numbers(kvHeads * headDim))
  const rows = await attention.select(query)
  const out = await attention.attend(query)
  if (step === 0) console.log(`step 0 reads ${rows![0]!.length} rows; attention [${heads}, ${headDim}] starts with ${out[0]!.toFixed(4)}`)
}

const { kvBytes, kvBytesFull } = await attention.ledger()
console.log(`${kvBytes} bytes held, ${kvBytesFull} under full attention`)
attention.free()
