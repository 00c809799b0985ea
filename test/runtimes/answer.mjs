// What every runtime runs, of dist/ alone: `node test/runtimes/answer.mjs` prints the answers as JSON; a page imports `answers`.
import { load, methods } from '../../dist/index.js'
import { makeDocument } from '../../dist/demo/corpus.js'
import { builds } from '../../dist/wasm/index.js'

const documentTokens = 1500
const questions = { full: methods.full, rocketkv: methods.rocketkv }

async function hashOf(...arrays) {
  const bytes = await new Blob(arrays).arrayBuffer()
  return Array.from(new Uint8Array(await crypto.subtle.digest('SHA-256', bytes)), byte => byte.toString(16).padStart(2, '0')).join('').slice(0, 16)
}

/** One answer about a seeded document by one method: its text, whether it is right, a hash of every id and every logit on the way. */
async function answer(model, policy) {
  const document = makeDocument({ tokens: documentTokens, seed: 5, count: text => model.tokenizer.encode(text).length })
  const { question, answer } = document.facts[3]
  const prompt = model.encode({ document: document.text, prompt: question })
  const sequence = model.sequence({ policy, budget: 128, answer: 16 })
  await sequence.prefill(prompt)
  const ids = [], logits = []
  while (ids.length < 8) {
    ids.push(await sequence.next())
    logits.push(await sequence.logits())
  }
  sequence.free()
  const text = model.tokenizer.decode(ids)
  return { tokens: prompt.length, text, right: text.startsWith(answer), hash: await hashOf(Uint32Array.from(ids), ...logits) }
}

/**
 * For every build that starts here, one and two threads: rows of answers. With two threads the model is not given back, so that a
 * program that does not end by itself is found out; with one it is.
 */
export async function answers(bytes) {
  const rows = []
  for (const build of builds)
    for (const threads of [1, 2]) {
      let model
      try {
        model = await load(bytes, { build, threads })
      } catch (error) {
        if (error.code !== 'backend') throw error
        rows.push({ build, missing: error.message })
        break
      }
      for (const [method, make] of Object.entries(questions))
        rows.push({ build, threads, used: model.kernels.threads, method, ...await answer(model, make()), barriers: model.kernels.sharing().barriers })
      if (threads === 1) model.free()
    }
  return rows
}

if (typeof document === 'undefined') {
  const { readFile } = await import('node:fs/promises')
  console.log(JSON.stringify(await answers(new Uint8Array(await readFile(new URL('../../models/tiny-retrieval.gguf', import.meta.url))))))
}
