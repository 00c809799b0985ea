// What host, children and pages say to each other. Plain data: it crosses process and page borders as JSON.

/** How an engine is started. One thread, always. */
export interface Setup {
  /** A path in Node, a URL in a page. */
  readonly model: string
  /** Tokens of prompt and answer together, at most. */
  readonly context: number
  readonly method: string
  readonly budget: number
  /** Type of cache rows. */
  readonly kv: string
  readonly flash: boolean
}

export interface Opened {
  /** From the file at hand to an engine that takes prompts. */
  readonly loadMs: number
  /** From the call that instantiates the kernels to the end of the first one; ours alone. */
  readonly firstKernelMs?: number
}

export interface Task { readonly ids: readonly number[]; readonly text: string; /** Tokens to draw, the first one not timed. */ readonly answer: number }

export interface Ran {
  /** Tokens of the prompt as the engine counts them. */
  readonly promptTokens: number
  readonly prefillMs: number
  /** From the prompt to its first drawn token. */
  readonly firstTokenMs: number
  /** Tokens drawn after the first, and how long they took. */
  readonly decoded: number
  readonly decodeMs: number
  /** The engine's memory, weights included, at most so far: linear memory of a wasm engine, resident memory of a process. */
  readonly memoryBytesPeak: number
  /** Resident memory of the process at most, where it is the engine's own process. */
  readonly rssBytesPeak?: number
}

export interface Engine {
  open(setup: Setup): Promise<Opened>
  run(task: Task): Promise<Ran>
  close(): Promise<void>
}
