import { asFull, named } from './name.ts'
import type { When } from '../policy.ts'

/** Only the prompt is cut. */
export const prefillOnly = (): When => named(asFull, () => false)

/** Cut again each `steps` decoded tokens: between two cuts up to that many rows more are held. */
export const every = (steps: number): When => named(`every ${steps} steps`, step => step > 0 && step % steps === 0)
