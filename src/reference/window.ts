export const window = {} as any
