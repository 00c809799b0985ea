import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { methods, parseMethod } from '../../src/methods/index.ts'

for (const name of Object.keys(methods))
  test(`${name}: its own parameters can be spelled out`, () => {
    const { parameters } = parseMethod(name)
    const text = [name, ...Object.entries(parameters).map(([key, value]) => `${key}=${value}`)].join(',')
    const again = parseMethod(text)
    assert.is(again.name, name)
    assert.equal(again.parameters, parameters)
  })

for (const [text, parameters] of [
  ['snapkv,window=16,kernel=5', { window: 16, kernel: 5, pool: 'maximum', variant: 'paper', dense: 'auto' }],
  [' snapkv , pool=average , dense=never', { window: 32, kernel: 7, pool: 'average', variant: 'paper', dense: 'never' }],
  ['snapkv,variant=kvpress', { window: 64, kernel: 5, pool: 'average', variant: 'kvpress', dense: 'auto' }],
  ['rocketkv,recent=64,sinks=4', { window: 32, kernel: 63, forcedRecent: 64, forcedSinks: 4, dense: 'auto' }],
  ['hsa,forcedRecent=0', { forcedRecent: 0, forcedSinks: 0, dense: 'auto' }],
  ['streaming,sinks=0', { sinks: 0, variant: 'paper', dense: 'auto' }],
  ['sparq,recent=12', { recent: 12, variant: 'paper', dense: 'auto' }],
  ['sparq', { variant: 'paper', dense: 'auto' }],
  ['chunkkv,variant=kvpress,kernel=7', { window: 64, chunk: 20, kernel: 7, reuse: 1, variant: 'kvpress', dense: 'auto' }],
  ['quest,page=8,page=32', { page: 32, variant: 'paper', dense: 'auto' }],
] as const)
  test(text, () => assert.equal(parseMethod(text).parameters, parameters))

const names = 'full, rocketkv, rocketkv-mt, hsa, snapkv, pyramidkv, adakv, chunkkv, knorm, keydiff, random, streaming, quest, sparq, exact-topk, kivi, quantized-pruning'
for (const [text, sentence] of [
  ['', `method must be one of ${names}, got nothing`],
  ['h2o', `method must be one of ${names}, got h2o`],
  ['SnapKV', `method must be one of ${names}, got SnapKV`],
  ['toString', `method must be one of ${names}, got toString`],
  ['full,window=3', 'full: parameter must be one of none, got window'],
  ['snapkv,size=3', 'snapkv: parameter must be one of window, kernel, pool, variant, dense, got size'],
  ['snapkv,recent=3', 'snapkv: parameter must be one of window, kernel, pool, variant, dense, got recent'],
  ['snapkv,window', 'snapkv: parameters must read key=value, got window'],
  ['snapkv,', 'snapkv: parameters must read key=value, got nothing'],
  ['snapkv,=3', 'snapkv: parameters must read key=value, got =3'],
  ['snapkv,window=', 'snapkv: window must be a whole number from 1 on, got nothing'],
  ['snapkv,window=0', 'snapkv: window must be a whole number from 1 on, got 0'],
  ['snapkv,window=-1', 'snapkv: window must be a whole number from 1 on, got -1'],
  ['snapkv,window=2.5', 'snapkv: window must be a whole number from 1 on, got 2.5'],
  ['snapkv,window=1e3', 'snapkv: window must be a whole number from 1 on, got 1e3'],
  ['rocketkv,recent=x', 'rocketkv: recent must be a whole number from 0 on, got x'],
  ['snapkv,pool=median', 'snapkv: pool must be one of average, maximum, got median'],
  ['snapkv,dense=always', 'snapkv: dense must be one of auto, never, got always'],
  ['quest,variant=kvpress', 'quest: variant must be one of paper, rocketkv, got kvpress'],
  ['snapkv,window=99999999999999999999', 'snapkv: window must be at most 1048576, got 99999999999999999999'],
  ['snapkv,kernel=4', 'maximumPool: kernel must be odd and positive, got 4'],
] as const)
  test(`refuses ${text || 'nothing'}`, () => {
    try {
      parseMethod(text)
    } catch (error) {
      assert.instance(error, RangeError)
      assert.is((error as Error).message, sentence)
      return
    }
    assert.unreachable('it was taken')
  })

for (const text of ['h2o', 'snapkv,size=3', 'snapkv,window', 'snapkv,window=0', 'snapkv,dense=x', 'snapkv,kernel=4', 'chunkkv,variant=kvpress,kernel=6', 'snapkv,window=99999999999999999999'])
  test(`${text} is the user's mistake`, () => {
    try {
      parseMethod(text)
    } catch (error) {
      assert.is((error as Error & { code?: string }).code, 'usage')
      return
    }
    assert.unreachable('it was taken')
  })

test.run()
