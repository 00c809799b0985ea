import type { Policy } from '../cache/policy.ts'
import { methods as registry } from '../methods/index.ts'
import { outputFlags, usageError, type Command } from './options.ts'
import { print, printJson, table } from './output.ts'

const meanings: Readonly<Record<Policy['budget'], string>> = {
  held: 'tokens held per KV head', read: 'tokens read per step', traffic: "the paper's t: tokens of traffic per step", none: 'none',
}

/** Which stages of a method differ from the full cache's. */
function stages(policy: Policy): Record<string, string> {
  return {
    when: policy.when(64) ? 'prefill and decode' : policy.evicts ? 'prefill' : '·',
    score: policy.score ? `window attention (${policy.score.window})` : '·',
    evicts: policy.evicts ? policy.history ? 'from the active set only' : 'yes' : 'no',
    reads: policy.decode.record.length ? 'chosen rows' : 'all held rows',
  }
}

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
    for (const row of rows)
      await print(`${table([[row.name, row.paper]])}\n  budget: ${meanings[row.budget]} · a second question finds ${row.secondQuestion}\n  ${Object.entries(row.stages).map(([stage, what]) => `${stage}: ${what}`).join(' · ')}\n  ${Object.entries(row.parameters).map(([key, value]) => `${key}=${value}`).join(',') || 'no parameters'}\n\n`)
  },
}
