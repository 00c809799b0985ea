export const rope = {} as any
