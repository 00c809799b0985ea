export const embed = {} as any
