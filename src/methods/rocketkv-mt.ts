import type { Policy } from '../cache/policy.ts'
import { rocketkv, type RocketkvOptions } from './rocketkv.ts'

/** RocketKV-MT: RocketKV for conversations. All rows of all turns are held; each turn chooses its active set anew from them. Section 3.5. */
export const rocketkvMt = (options: RocketkvOptions = {}): Policy => ({
  ...rocketkv(options),
  name: 'rocketkv-mt',
  second: 'everything', history: true,
})
