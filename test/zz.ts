import { llama, someIds, policyOf, working, draw } from './model/helpers.ts'
import { fastkv } from '../src/model/propagate.ts'
import { parseMethod } from '../src/methods/index.ts'
const shapes = [
  {layers:2, heads:2,kvHeads:1,headDim:32,dim:2048,hidden:256},
  {layers:4, heads:4,kvHeads:2,headDim:64,dim:512,hidden:512},
  {layers:8, heads:8,kvHeads:8,headDim:64,dim:256,hidden:256},
]
for (const shape of shapes) for (const n of [2000, 5000]) for (const method of ['full','rocketkv','rocketkv-mt','snapkv','quest','sparq','chunkkv'])
 for (const propagate of [undefined, fastkv()]) {
  if (propagate && method!=='full' && method!=='rocketkv') continue
  const model = await llama({...shape, type:'Q4_0', context: 8192}, )
  const s = model.sequence({policy: parseMethod(method), budget: 256, answer: 16, propagate})
  const told = model.plan({policy: parseMethod(method), budget: 256, answer: 16, tokens:n, ...propagate?{propagate}:{}})
  await s.prefill(someIds(n)); await draw(s, 16)
  const l = await s.ledger(), u = model.kernels.memory()
  console.log(n, method, !!propagate, told.memory.peak, l.memoryBytesPeak, (l.memoryBytesPeak/told.memory.peak).toFixed(4), 'held', ((u.used)/(told.memory.held-told.memory.slack)).toFixed(4), 'cache', (l.kvBytesPeak/told.peak).toFixed(4))
  model.free()
}
