import { gguf } from '@huggingface/gguf'
import { readFileSync } from 'node:fs'
import { test } from 'uvu'

/** uvu's `test` for bodies that return anything. */
export const suite = Object.assign((name: string, body: () => unknown) => test(name, async () => { await body() }),
  { skip: (name: string) => test.skip(name) })

/** Metadata of a GGUF file, read by someone else's reader. */
export async function metadataOf(path: string): Promise<Map<string, unknown>> {
  const { metadata } = await gguf(path, { allowLocalFile: true })
  return new Map(Object.entries(metadata))
}

/** A file of test/goldens. */
export function golden<T>(name: string): T {
  return JSON.parse(readFileSync(new URL(`../goldens/${name}`, import.meta.url), 'utf8')) as T
}

export interface Vocabulary { tokens: string[]; types: number[]; merges: string[]; cases: { text: string; ids: number[] }[] }
export interface Splits { splits: Record<string, [text: string, pieces: string[]][]>; vocabularies: Record<string, Vocabulary> }

/** A golden vocabulary as the metadata of a file. */
export function metadataFor(pre: string, { tokens, types, merges }: Vocabulary): Map<string, unknown> {
  return new Map<string, unknown>([
    ['tokenizer.ggml.model', 'gpt2'], ['tokenizer.ggml.pre', pre], ['tokenizer.ggml.tokens', tokens],
    ['tokenizer.ggml.token_type', Int32Array.from(types)], ['tokenizer.ggml.merges', merges],
  ])
}
