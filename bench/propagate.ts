import { makeDocument, makeQuestions } from '../src/demo/corpus.ts'
import { load, type Model } from '../src/load.ts'
import { parseMethod } from '../src/methods/index.ts'
import { parsePropagation, type Propagation } from '../src/model/propagate.ts'
import { smollm, tiny } from '../test/models.ts'
import { interleave, ratio, report, say, sink, timesOf, type Options } from './harness.ts'
import { modelName, modelPath, promptOf } from './network.ts'

const budget = 256
/** Most tokens of an answer. */
const answer = 24
const asked = ['fastkv', 'fastkv,rate=0.5']

/** Speed of prefill, divergence of what follows, and questions answered; two minutes, half of one where quick. */
export async function bench(options: Options): Promise<void> {
  say(options, `# ${modelName}`)
  const model = await load(modelPath)
  if ('speed'.includes(options.only)) for (const tokens of options.quick ? [1024] : [1024, 3072]) await speed(options, model, tokens)
  if (smollm && 'divergence'.includes(options.only)) await divergence(options, model)
  model.free()
  if ('questions'.includes(options.only)) await questions(options)
}

/** A prompt read whole and by propagation, in turn, under the same method. */
async function speed(options: Options, model: Model, tokens: number): Promise<void> {
  const ids = promptOf(model.network, tokens)
  // Of the processor, which others on the machine change less than the clock's.
  const seconds: number[][] = [[], ...asked.map(() => [])]
  const read = (propagate: string | undefined, at: number) => async (): Promise<void> => {
    const { user, system } = process.cpuUsage()
    const sequence = model.sequence({ policy: parseMethod('rocketkv'), budget, answer, propagate })
    await sequence.prefill(ids)
    sink(await sequence.logits())
    sequence.free()
    const spent = process.cpuUsage({ user, system })
    seconds[at]!.push((spent.user + spent.system) / 1e6)
  }
  const times = await interleave([undefined, ...asked].map(read), { rounds: options.quick ? 1 : 3, warmUp: 0 })
  for (const [i, ms] of times.entries())
    report(options, 'speed', { tokens, propagate: i ? asked[i - 1]! : 'none' }, timesOf(ms), { unit: 'tokens/s', amount: tokens }, { 'processor s': Number(timesOf(seconds[i]!).min.toFixed(2)), ...i ? { 'times as fast': Number((timesOf(seconds[0]!).min / timesOf(seconds[i]!).min).toFixed(2)), 'by the clock': Number(ratio(times[0]!, ms).toFixed(2)) } : {} })
}

const softmax = (logits: Float32Array): Float64Array => {
  const top = logits.reduce((a, b) => Math.max(a, b), -Infinity), e = Float64Array.from(logits, x => Math.exp(x - top)), sum = e.reduce((a, b) => a + b, 0)
  return e.map(x => x / sum)
}

/** KL(whole ‖ propagated) of the next token after a document, and after each of the tokens that follow it in the text. */
async function divergence(options: Options, model: Model): Promise<void> {
  const count = (text: string): number => model.tokenizer.encode(text).length, length = options.quick ? 512 : 1536, follow = 32
  for (const method of ['full', 'rocketkv']) for (const propagate of asked) {
    const start = performance.now(), each: number[] = []
    for (const seed of options.quick ? [1] : [1, 2, 3]) {
      const ids = model.tokenizer.encode(makeDocument({ tokens: length + follow, seed, count, facts: 20 }).text).slice(0, length + follow)
      const sequences = [undefined, propagate].map(by => model.sequence({ policy: parseMethod(method), budget, answer: follow, propagate: by }))
      for (const sequence of sequences) await sequence.prefill(ids.slice(0, -follow))
      for (const id of ids.slice(-follow)) {
        const [p, q] = (await Promise.all(sequences.map(sequence => sequence.logits()))).map(softmax) as [Float64Array, Float64Array]
        each.push(p.reduce((sum, x, i) => sum + (x > 0 ? x * Math.log(x / Math.max(q[i]!, 1e-300)) : 0), 0))
        for (const sequence of sequences) await sequence.feed(id)
      }
      for (const sequence of sequences) sequence.free()
    }
    report(options, 'divergence', { tokens: length, method, propagate }, timesOf([performance.now() - start]), null, { 'mean nats': Number((each.reduce((a, b) => a + b, 0) / each.length).toPrecision(3)), places: each.length })
  }
}

/** Questions of the demo answered rightly: each prompt is document and question together, as it must be where tokens stay behind. */
async function questions(options: Options): Promise<void> {
  const model = await load(tiny), tokens = options.quick ? 1024 : 2048, many = 6
  const rows: (Propagation | undefined)[] = [undefined, ...['fastkv', 'fastkv,rate=0.5', `fastkv,layer=${model.config.layers - 1}`, `fastkv,layer=${model.config.layers - 2}`].map(parsePropagation)]
  for (const method of ['full', 'rocketkv']) for (const propagate of rows) {
    const start = performance.now()
    let right = 0, all = 0
    for (const seed of options.quick ? [8, 9] : [7, 8, 9, 10, 11]) {
      const document = makeDocument({ tokens, seed, count: text => model.tokenizer.encode(text).length, facts: 40 })
      for (const question of makeQuestions(document, many, seed)) {
        const story = model.generate({ document: document.text, prompt: question.question }, { method: parseMethod(method), budget, maxTokens: answer, propagate })
        right += Number((await story.all()).trim() === question.answer.trim())
        all++
      }
    }
    report(options, 'questions', { tokens, method, propagate: propagate ? `layer=${propagate.layer ?? 'middle'},rate=${propagate.rate}` : 'none' }, timesOf([performance.now() - start]), null, { right, of: all })
  }
  model.free()
}
