/** Characters of a message: names in a hostile file may have 64 KB. */
const messageMax = 500

/** What a model file must be and what it is, in one sentence on one line: the only error this room throws about a file. */
export class GgufError extends Error {
  readonly code = 'model'
  constructor(message: string, cause?: unknown) {
    // names come from the file, so they must not steer a terminal
    const line = message.replace(/[\u0000-\u001f\u007f-\u009f]/g, '\ufffd')
    super(line.length <= messageMax ? line : `${line.slice(0, messageMax - 1)}…`, cause === undefined ? undefined : { cause })
    this.name = 'GgufError'
  }
}
