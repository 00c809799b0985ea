export const page = {} as any
