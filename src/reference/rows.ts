export const rows = {} as any
