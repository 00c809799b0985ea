export const pool = {} as any
