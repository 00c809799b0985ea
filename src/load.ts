import type { Footprint } from './cache/plan.ts'
import type { Policy } from './cache/policy.ts'
import { GgufError, openModel, type ByteSource, type Header, type Source } from './gguf/index.ts'
import { checkThreads, rowTypes, type Kernels, type RowType } from './kernels/index.ts'
import { rocketkv } from './methods/rocketkv.ts'
import { rocketkvMt } from './methods/rocketkv-mt.ts'
import { readConfig, type Config } from './model/config.ts'
import { converse, type Conversation, type ConversationOptions } from './model/conversation.ts'
import { refuseHeavy } from './model/fitting.ts'
import { generate, type GenerateOptions, type Generator, type Story } from './model/generate.ts'
import { createNetwork, type Network, type Precision } from './model/llama.ts'
import { memoryPlan, type MemoryPlan } from './model/memory.ts'
import { propagationOf, type Propagation } from './model/propagate.ts'
import type { PrefillProgress } from './model/prefill.ts'
import { documentIds, promptIds, type Prompt } from './model/prompt.ts'
import { createReading, type Reading } from './model/reading.ts'
import { createSequence, type Sequence, type SequenceOptions } from './model/sequence.ts'
import { findTensors, freeWeights, loadWeights, type LoadProgress } from './model/weights.ts'
import { chatTemplate, tokenizer, type Chat, type Tokenizer } from './tokenizer/index.ts'
import type { Build } from './wasm/index.ts'
import { fault } from './cache/fault.ts'

export type Backend = 'auto' | 'wasm' | 'reference' | 'webgpu'

export interface LoadOptions {
  /** Where it runs; auto takes the fastest that starts here. */
  readonly backend?: Backend
  /** Force a wasm build. */
  readonly build?: Build
  readonly threads?: number
  /** Type of cache rows; i16 by default, f32 where precision is exact. */
  readonly kv?: RowType
  /** fast: i16 activations in integer products; exact: all in f32, to compare with references. */
  readonly precision?: Precision
  /** Most bytes of memory, weights included. */
  readonly limit?: number
  /** Tokens that prompts and answers will have at most: where they fit LongRope's original context, its short divisors serve. */
  readonly context?: number
  readonly progress?: LoadProgress
  readonly signal?: AbortSignal
  /** The compiled kernels, where the runtime forbids compiling bytes. */
  readonly module?: WebAssembly.Module
}

/** A loaded model. */
export interface Model {
  readonly name: string
  readonly config: Config
  readonly header: Header
  readonly tokenizer: Tokenizer
  readonly kernels: Kernels
  /** For measurements that the functions below do not make: see src/model/logits.ts. */
  readonly network: Network
  readonly kv: RowType
  readonly precision: Precision
  /** Ids of a prompt, rendered with the file's chat template unless it is raw. */
  encode(prompt: string | Prompt): number[]
  /** Reads a prompt and answers it, text by text. */
  generate(prompt: string | Prompt, options?: GenerateOptions): Story
  /** Reads a document once, to be asked many times. The prompt is what all questions about it share: document, system, raw. */
  read(prompt: string | Prompt, watch?: Watch): Promise<DocumentReading>
  /** Answers message after message; each reads only what it adds. RocketKV-MT unless told otherwise. */
  chat(options?: ConversationOptions): Conversation
  /** Tokens in, tokens out, in turns. */
  sequence(options: Omit<SequenceOptions, 'kv' | 'precision'>): Sequence
  /** Bytes a prompt of `tokens` holds and peaks at: its cache, and all memory with what it goes through on the way. */
  plan(options: { readonly policy: Policy; readonly tokens: number; readonly answer: number; readonly budget: number; readonly propagate?: Propagation | string }): Footprint & { readonly memory: MemoryPlan }
  /** Gives the weights back and ends the threads. */
  free(): void
}

interface Watch { readonly signal?: AbortSignal | undefined; readonly progress?: PrefillProgress | undefined }

/** A document that was read, with its rendering: questions are text. */
export interface DocumentReading extends Reading {
  /** Answers a question about the document. */
  generate(question: string, options?: GenerateOptions): Story
}

/** Bytes that a 32-bit memory can have. */
export const mostBytes = 65535 * 65536

async function startKernels({ backend = 'auto', build, limit, threads = 1, module }: LoadOptions): Promise<Kernels> {
  checkThreads(threads)
  const most = { ...limit === undefined ? {} : { limit } }
  switch (backend) {
    case 'reference': return (await import('./reference/index.ts')).reference(most)
    case 'auto': case 'wasm': return (await import('./wasm/index.ts')).wasm({ ...most, ...build ? { build } : {}, threads, ...module ? { module } : {} })
    case 'webgpu': throw fault('backend', 'backend must be wasm or reference in this version, got webgpu')
    default: throw fault('usage', `backend must be auto, wasm, webgpu or reference, got ${backend satisfies never}`)
  }
}

const promptOf = (prompt: string | Prompt): Prompt => typeof prompt === 'string' ? { prompt } : prompt

/** What a file holds, from its header alone. */
export interface Inspected { readonly header: Header; readonly size: number; readonly name: string }

/** headers: for a server that asks who it is. */
export async function inspect(source: Source | readonly Source[], signal?: AbortSignal, headers?: HeadersInit): Promise<Inspected> {
  const { file, header } = await openModel(source, signal, headers)
  await file.close()
  return { header, size: file.size, name: file.name }
}

/**
 * Loads a GGUF model from a path, URL, Blob or bytes, or from the parts of a split one (a path or URL of one finds the others). Throws GgufError (code `model`) where the file cannot be run, code `memory` where it
 * does not fit, code `backend` where the asked backend cannot start.
 */
export async function load(source: Source | readonly Source[], options: LoadOptions = {}): Promise<Model> {
  const { precision = 'fast', limit = mostBytes, signal, progress } = options
  const kv = options.kv ?? (precision === 'exact' ? 'f32' : 'i16')
  if (precision !== 'fast' && precision !== 'exact') throw fault('usage', `precision must be fast or exact, got ${precision}`)
  if (options.context !== undefined && !(Number.isInteger(options.context) && options.context >= 1)) throw fault('usage', `context must be a whole number of tokens from 1 on, got ${options.context}`)
  if (!Object.hasOwn(rowTypes, kv)) throw fault('usage', `kv must be one of ${Object.keys(rowTypes).join(', ')}, got ${kv}`)
  if (precision === 'exact' && kv !== 'f32') throw fault('usage', `kv must be f32 where precision is exact, got ${kv}`)
  const { file, header } = await openModel(source, signal)
  try {
    const config = readConfig(header, options.context)
    refuseHeavy(findTensors(header, config), limit)
    const words = tokenizer(header.metadata)
    if (words.size > config.vocabulary)
      throw new GgufError(`the vocabulary must have at most the ${config.vocabulary} rows of token_embd.weight, got ${words.size} tokens`)
    const kernels = await startKernels(options)
    const network = await assemble(kernels, file, header, config, progress, signal).catch(error => {
      kernels.close()
      throw error
    })
    return modelOf({ network, header, tokenizer: words, kv, precision, limit, name: file.name })
  } finally {
    await file.close()
  }
}

async function assemble(k: Kernels, file: ByteSource, header: Header, config: Config, progress?: LoadProgress, signal?: AbortSignal): Promise<Network> {
  const weights = await loadWeights(k, file, header, config, { ...progress ? { progress } : {}, ...signal ? { signal } : {} })
  return createNetwork(k, config, weights)
}

interface Parts { readonly network: Network; readonly header: Header; readonly tokenizer: Tokenizer; readonly kv: RowType; readonly precision: Precision; readonly limit: number; readonly name: string }

function modelOf({ network, header, tokenizer, kv, precision, limit, name }: Parts): Model {
  const { k, config, weights } = network, loaded = k.memory().used
  let template: Chat | undefined
  let freed = false
  const chat = (): Chat => template ??= chatTemplate(header.metadata, tokenizer)
  const generator: Generator = { network, tokenizer, chat, defaultMethod: rocketkv, kv, precision, limit }
  return {
    name, config, header, tokenizer, kernels: k, network, kv, precision,
    encode: prompt => promptIds(promptOf(prompt), tokenizer, chat),
    generate: (prompt, options) => generate(generator, promptOf(prompt), options),
    chat: (options = {}) => converse(generator, { method: rocketkvMt(), ...options }),
    async read(given, watch = {}) {
      const prompt = typeof given === 'string' ? { document: given } : given
      const ids = documentIds(prompt, tokenizer, chat)
      if (!ids.length) throw fault('usage', 'a document must have at least one token, got none')
      if (ids.length > config.context) throw fault('fit', `a document must fit the context of ${config.context} tokens, got ${ids.length}`)
      const reading = await createReading(network, { ids, kv, precision, ...watch })
      return { ...reading, generate: (question, options) => generate(generator, { ...prompt, prompt: question }, options, reading) }
    },
    sequence: options => createSequence(network, { ...options, kv, precision }),
    plan({ propagate, ...request }) {
      const memory = memoryPlan(config, { ...request, kv, precision, weights: loaded, gap: weights.gap, layouts: weights.layouts, threads: k.threads, propagate: propagationOf(propagate) })
      return { ...memory.footprint, memory }
    },
    free() {
      if (freed) return
      freed = true
      k.close()
      k.free(...network.frequencies)
      freeWeights(k, weights)
    },
  }
}
