import type { Policy } from '../cache/policy.ts'
import { asFull } from '../cache/stages/index.ts'
import { methods as registry } from '../methods/index.ts'
import { outputFlags, usageError, type Command } from './options.ts'
import { print, printJson, say, table } from './output.ts'

const meanings: Readonly<Record<Policy['budget'], string>> = {
  held: 'tokens held per KV head', bytes: 'tokens of i16 rows per KV head: as many bytes are held', read: 'tokens read per step', traffic: "the paper's t: tokens of traffic per step", none: 'none',
}

/** The seven stages, `·` where a method does as the full cache does. */
const stages = (policy: Policy): Record<string, string> => ({
  when: policy.when.name, score: policy.score?.name ?? asFull, pool: policy.pool.name, allocate: policy.allocate.name, select: policy.select.name,
  store: policy.history ? 'whole history, beside what is selected' : policy.store?.name ?? asFull, decodeSelect: policy.decode.name,
})

const finds: Readonly<Record<Policy['second'], string>> = { everything: 'everything', 'what was kept': 'what the first one left' }

export const methods: Command = {
  name: 'methods',
  summary: 'Lists every method: paper, parameters with defaults, budget, what a second question finds',
  usage: '[NAME]',
  examples: ['methods', 'methods rocketkv --json'],
  flags: outputFlags,
  async run(input) {
    const [name, extra] = input.words
    const names = Object.keys(registry)
    if (extra !== undefined || name !== undefined && !names.includes(name)) throw usageError(`methods takes one of ${names.join(', ')}, got ${extra ?? name}`)
    const rows = Object.entries(registry).filter(([key]) => name === undefined || key === name).map(([, make]) => {
      const policy = (make as () => Policy)()
      return { name: policy.name, paper: policy.paper, stages: stages(policy), parameters: policy.parameters, budget: policy.budget, secondQuestion: policy.second }
    })
    if (input.on('json')) return printJson(rows)
    await print(rows.map(row => `${row.name}  ${row.paper}\n${table([
      ...Object.entries(row.stages).map(([stage, what]) => [`  ${stage}`, what]),
      ['  parameters', Object.entries(row.parameters).map(([key, value]) => `${key}=${value}`).join(',') || 'none'],
      ['  budget', meanings[row.budget]], ['  second question', `finds ${finds[row.secondQuestion]}`],
    ], { left: 2 })}\n`).join('\n'))
    if (!input.on('quiet')) say(`\n${asFull} as the full cache does`)
  },
}
