import { report, timesOf, type Options } from './harness.ts'
import { modelPath } from './network.ts'
import { inProcess } from './peers/children.ts'
import { prompts } from './peers/prompt.ts'

/** From nothing to the first token: each time in a process of its own that has compiled nothing yet, and with the built package. */
export async function start(options: Options): Promise<void> {
  const tokens = options.contexts[0] ?? (options.quick ? 128 : 512)
  const prompt = (await prompts(modelPath))(tokens)
  const kernel: number[] = [], load: number[] = [], token: number[] = []
  for (let round = 0; round < (options.quick ? 1 : 3); round++) {
    const engine = inProcess()
    try {
      const { firstKernelMs, loadMs } = await engine.open({ model: modelPath, context: tokens + 2, method: 'rocketkv', budget: 256, kv: 'i16', flash: false })
      const { firstTokenMs } = await engine.run({ ...prompt, answer: 2 })
      kernel.push(firstKernelMs!)
      load.push(loadMs)
      token.push(firstTokenMs)
    } finally {
      await engine.close()
    }
  }
  report(options, 'first kernel', { from: 'instantiation' }, timesOf(kernel), null)
  report(options, 'first load', { from: 'the file, tokenizer and all' }, timesOf(load), null)
  report(options, 'first token', { from: 'the prompt', tokens, method: 'rocketkv' }, timesOf(token), null)
}
