import type { When } from '../policy.ts'

/** Only the prompt is cut. */
export const prefillOnly = (): When => () => false

/** Cut again each `steps` decoded tokens: between two cuts up to that many rows more are held. */
export const every = (steps: number): When => step => step > 0 && step % steps === 0
