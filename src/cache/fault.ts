/** Why something is refused; the command line ends with a number of its own for each. */
export type FaultCode = 'usage' | 'model' | 'fit' | 'memory' | 'backend'

/** An error that carries its code. message: what must be, what was got. */
export const fault = (code: FaultCode, message: string): RangeError & { readonly code: FaultCode } => Object.assign(new RangeError(message), { code })
