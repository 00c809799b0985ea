export const topk = {} as any
