import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))

/** The embedded model, always there. */
export const tiny = join(root, 'models', 'tiny-retrieval.gguf')

/** Where the 135M model lies, or null: `$POCKETKV_MODELS`, then `../shared/models`. */
export const smollm: string | null = [process.env['POCKETKV_MODELS'], join(root, '..', 'shared', 'models')]
  .filter(folder => folder !== undefined)
  .map(folder => join(folder, 'SmolLM2-135M-Instruct.Q4_1.gguf'))
  .find(path => existsSync(path)) ?? null

type Body = () => void | Promise<void>
interface Suite { (name: string, body: Body): void; skip(name: string, body: Body): void }

/** A test that needs the 135M model: counted as skipped, by name, where it is absent. */
export function withSmollm(test: Suite, name: string, body: (path: string) => void | Promise<void>): void {
  const path = smollm
  if (path) return test(name, () => body(path))
  console.log(`SKIP ${name}: SmolLM2-135M-Instruct.Q4_1.gguf is in neither $POCKETKV_MODELS nor ../shared/models`)
  test.skip(name, () => {})
}
