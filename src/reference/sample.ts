export const sample = {} as any
