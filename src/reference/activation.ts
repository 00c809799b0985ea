export const activation = {} as any
