import { outputFlags, type Command } from './options.ts'
export const demo: Command = { name: 'demo', summary: 'Asks', usage: '', examples: ['demo'], flags: outputFlags, async run() {} }
