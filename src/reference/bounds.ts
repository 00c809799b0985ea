export const bounds = {} as any
