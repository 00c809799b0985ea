export const topPages = {} as any
