// Adds to every golden what llama.cpp decodes from the same file: node llama.mjs, with `node-llama-cpp` installed where Node finds it.
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { getLlama, LlamaLogLevel } from 'node-llama-cpp'

const here = new URL('.', import.meta.url)
const llama = await getLlama({ gpu: false, build: 'never', logLevel: LlamaLogLevel.error, maxThreads: 1 })
for (const file of readdirSync(here).filter(name => name.endsWith('.gguf'))) {
  const at = new URL(file.replace('.gguf', '.json'), here)
  const golden = JSON.parse(readFileSync(at, 'utf8'))
  const model = await llama.loadModel({ modelPath: new URL(file, here).pathname, gpuLayers: 0 })
  const context = await model.createContext({ contextSize: 512, batchSize: 512, threads: 1, flashAttention: false })
  const tokens = []
  for await (const token of context.getSequence().evaluate(golden.ids, { temperature: 0, yieldEogToken: true })) {
    tokens.push(token)
    if (tokens.length === golden.tokens.length) break
  }
  const differs = tokens.findIndex((token, i) => token !== golden.tokens[i])
  console.log(file, differs < 0 ? 'the same' : `differs at ${differs}, where the gap is ${golden.gaps[differs]}`)
  writeFileSync(at, JSON.stringify({ ...golden, llamaCpp: tokens }) + '\n')
  await context.dispose()
  await model.dispose()
}
process.exit(0)
