/** log Σ exp. */
export function logSum(logits: Float32Array): number {
  let most = -Infinity, sum = 0
  for (let i = 0; i < logits.length; i++) most = Math.max(most, logits[i]!)
  for (let i = 0; i < logits.length; i++) sum += Math.exp(logits[i]! - most)
  return most + Math.log(sum)
}

/** KL(p‖q) in nats of two next-token distributions; ofP, ofQ: their `logSum`. */
export function divergence(p: Float32Array, q: Float32Array, ofP = logSum(p), ofQ = logSum(q)): number {
  let sum = 0
  for (let i = 0; i < p.length; i++) sum += Math.exp(p[i]! - ofP) * (p[i]! - q[i]!)
  return sum + ofQ - ofP
}
