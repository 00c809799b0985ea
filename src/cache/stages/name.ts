/** What a stage that is as in the full cache is called. */
export const asFull = '·'

/** A stage with what it does as its name: a few words for people, as `pocketkv methods` shows them. */
export const named = <Stage extends (...args: never[]) => unknown>(name: string, stage: Stage): Stage =>
  Object.defineProperty(stage, 'name', { value: name })
