export const attend = {} as any
