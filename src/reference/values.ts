export const values = {} as any
