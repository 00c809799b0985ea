import type { Policy } from '../cache/policy.ts'
import { adakv } from './adakv.ts'
import { chunkkv } from './chunkkv.ts'
import { exactTopk } from './exact-topk.ts'
import { full } from './full.ts'
import { hsa } from './hsa.ts'
import { keydiff } from './keydiff.ts'
import { kivi } from './kivi.ts'
import { knorm } from './knorm.ts'
import { pyramidkv } from './pyramidkv.ts'
import { quantizedPruning } from './quantized-pruning.ts'
import { quest } from './quest.ts'
import { random } from './random.ts'
import { rocketkvMt } from './rocketkv-mt.ts'
import { rocketkv } from './rocketkv.ts'
import { snapkv } from './snapkv.ts'
import { sparq } from './sparq.ts'
import { streaming } from './streaming.ts'
import { combine } from '../cache/combine.ts'
import { fault } from '../cache/fault.ts'

/** Every method by its name: a factory from parameters to a policy. */
export const methods = {
  full, rocketkv, 'rocketkv-mt': rocketkvMt, hsa, snapkv, pyramidkv, adakv, chunkkv, knorm, keydiff, random, streaming, quest, sparq, 'exact-topk': exactTopk,
  kivi, 'quantized-pruning': quantizedPruning,
} as const

export type MethodName = keyof typeof methods

const names = Object.keys(methods) as MethodName[]

/** Other names of parameters, where a method forces rows rather than keeps them. */
const aliases: Readonly<Record<string, string>> = { recent: 'forcedRecent', sinks: 'forcedSinks' }

/** Parameters that have no default number; `parameters` lists the others. */
const optional: Partial<Record<MethodName, readonly string[]>> = {
  sparq: ['recent'], chunkkv: ['kernel'], rocketkv: ['forcedRecent'], 'rocketkv-mt': ['forcedRecent'], hsa: ['forcedRecent'],
}

/** Choices of parameters that are words. */
const choices: Readonly<Record<string, readonly string[]>> = { dense: ['auto', 'never'], pool: ['average', 'maximum'], bits: ['2', '4', '8'] }
const variants: Partial<Record<MethodName, readonly string[]>> = {
  snapkv: ['paper', 'kvpress'], pyramidkv: ['paper', 'kvpress'], adakv: ['paper', 'kvpress'], streaming: ['paper', 'kvpress'], chunkkv: ['paper', 'kvpress'], 'exact-topk': ['paper', 'perQueryHead'], quest: ['paper', 'rocketkv'], sparq: ['paper', 'rocketkv'],
}

/** More tokens than any prompt has; numbers beyond it are slips of the hand, and would not fit a program's words. */
const mostTokens = 2 ** 20

function parameter(method: MethodName, defaults: Policy['parameters'], key: string, value: string): [string, number | string] {
  const known = [...Object.keys(defaults), ...optional[method] ?? []]
  const name = known.includes(key) ? key : aliases[key] ?? key
  if (!known.includes(name)) throw fault('usage', `${method}: parameter must be one of ${known.join(', ') || 'none'}, got ${key}`)
  const words = name === 'variant' ? variants[method] ?? ['paper'] : choices[name]
  if (words) {
    if (!words.includes(value)) throw fault('usage', `${method}: ${key} must be one of ${words.join(', ')}, got ${value}`)
    return [name, /^\d+$/.test(value) ? Number(value) : value]
  }
  const least = name === 'sinks' || name === 'floor' || name.startsWith('forced') || name === 'recent' ? 0 : 1
  if (!/^\d+$/.test(value) || Number(value) < least) throw fault('usage', `${method}: ${key} must be a whole number from ${least} on, got ${value || 'nothing'}`)
  if (Number(value) > mostTokens) throw fault('usage', `${method}: ${key} must be at most ${mostTokens}, got ${value}`)
  return [name, Number(value)]
}

/** A policy from text: `snapkv`, `snapkv,window=16,kernel=5`, or several: `snapkv,window=16+kivi,bits=4`, `snapkv,budget=1024+quest`. */
export function parseMethod(text: string): Policy {
  const parts = text.split('+')
  return parts.length === 1 ? single(text) : combine(parts.map(part => {
    const words = part.split(','), own = words.find(word => /^\s*budget\s*=/.test(word)), budget = own?.slice(own.indexOf('=') + 1).trim()
    const policy = single(words.filter(word => word !== own).join(','))
    if (budget === undefined) return { policy }
    if (!/^[1-9]\d{0,6}$/.test(budget)) throw fault('usage', `${policy.name}: budget must be a whole number of tokens from 1 on, got ${budget || 'nothing'}`)
    return { policy, budget: Number(budget) }
  }))
}

function single(text: string): Policy {
  const [name = '', ...pairs] = text.split(',').map(part => part.trim())
  if (!names.includes(name as MethodName)) throw fault('usage', `method must be one of ${names.join(', ')}, got ${name || 'nothing'}`)
  const method = name as MethodName
  const make = methods[method] as (options: Record<string, number | string>) => Policy
  const given = Object.fromEntries(pairs.map(pair => {
    const at = pair.indexOf('=')
    if (at < 1) throw fault('usage', `${method}: parameters must read key=value, got ${pair || 'nothing'}`)
    return parameter(method, make({}).parameters, pair.slice(0, at), pair.slice(at + 1))
  }))
  try {
    return make(given)
  } catch (error) {
    // What a method refuses here was written by the user.
    throw Object.assign(error as Error, { code: 'usage' })
  }
}
