import { compose } from './compose.ts'
import { fault } from './fault.ts'
import type { Plan, Policy, Request } from './policy.ts'

/** A method of a composition. budget: its own, in place of the one that all share. */
export interface Part { readonly policy: Policy; readonly budget?: number }

/** What a method can do that only one of a composition may. */
const roles = {
  'chooses rows to keep': ({ evicts }: Policy) => evicts,
  'chooses rows to read': ({ decode }: Policy) => decode.name !== compose(plain).decode.name,
  'stores rows': ({ store }: Policy) => store !== null,
} as const
type Role = keyof typeof roles
const plain = { name: 'full', paper: '', plan: ({ tokens, answer }: Request): Plan => ({ kept: tokens, read: tokens + answer, pageSize: 0, channels: 0, reserve: answer }) }

/**
 * One method of several: what is kept is one's, what a step reads another's, how rows lie a third's. Refuses two that do the same. Plans of those that read
 * are made for the rows that are kept; so with one budget for both they read what there is, and one of them wants its own.
 */
export function combine(parts: readonly Part[]): Policy {
  const [first] = parts
  if (!first) throw new RangeError('combine: there must be at least one method, got none')
  const who = (role: Role): Part | undefined => {
    const [one, other] = parts.filter(({ policy }) => roles[role](policy))
    if (one && other) throw fault('usage', `a composition must have at most one method that ${role}, got ${one.policy.name} and ${other.policy.name}`)
    return one
  }
  const keeper = who('chooses rows to keep'), reader = who('chooses rows to read'), holder = who('stores rows')
  for (const part of parts) {
    const { name } = part.policy
    if (part !== keeper && part !== reader && part !== holder && parts.length > 1) throw fault('usage', `a composition must be of methods that each do something, got ${name} in ${parts.map(({ policy }) => policy.name).join('+')}`)
    if (part.budget !== undefined && part !== keeper && part !== reader) throw fault('usage', `${name}: budget must be given to a method that chooses rows, got one for a store`)
  }
  const ask = ({ policy, budget }: Part, request: Request): Plan => policy.plan({ ...request, budget: budget ?? request.budget })
  const main = (keeper ?? reader ?? first).policy
  return compose({
    ...main,
    name: parts.map(({ policy }) => policy.name).join('+'),
    paper: [...new Set(parts.map(({ policy }) => policy.paper))].join(', '),
    parameters: Object.fromEntries(parts.flatMap(({ policy, budget }) =>
      Object.entries({ ...policy.parameters, ...budget === undefined ? {} : { budget } }).map(([key, value]) => [`${policy.name}.${key}`, value]))),
    second: parts.some(({ policy }) => policy.second !== 'everything') ? 'what was kept' : 'everything',
    dense: parts.some(({ policy }) => policy.dense === 'never') ? 'never' : 'auto',
    plan(request) {
      const kept = ask(keeper ?? reader ?? first, request)
      if (!keeper || !reader || keeper === reader) return kept
      const { read, pageSize, channels } = ask(reader, { ...request, tokens: Math.min(kept.kept, request.tokens) })
      return { ...kept, read, pageSize, channels }
    },
    store: holder?.policy.store ?? null,
    decode: (reader?.policy ?? main).decode,
  })
}
