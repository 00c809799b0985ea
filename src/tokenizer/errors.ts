/** An error about the file itself: whoever reports it reads `code` and needs no class of ours. */
export function modelError(message: string): Error & { readonly code: 'model' } {
  return Object.assign(new Error(message), { code: 'model' as const })
}
