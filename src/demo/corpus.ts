import { type Generator, generator } from './random.ts'
import {
  adjectives, buildings, codes, counted, did, fillerWords, heads, jobs, letters, materials, objects, tails, what, when, who
} from './words.ts'

export type Kind = 'code' | 'year' | 'keep' | 'person' | 'quote'

/** One sentence of a document, with the question and the answer in the wording the embedded model knows. */
export interface Fact { kind: Kind; sentence: string; question: string; answer: string }

/** `tokens` is the count of `text`; `facts` are in the order in which the text states them. */
export interface Document { text: string; tokens: number; facts: Fact[] }

export interface DocumentOptions {
  tokens: number
  seed: number
  /** How many facts the text states; by default one in 100 tokens, at least 8 and at most 200. */
  facts?: number
  /** The token count of a text. Called once a sentence and a few times for the whole text. */
  count: (text: string) => number
}

/**
 * What a fact is about; no two facts of a document share it. `subject` and `place` are the attribute and its place
 * (code, year, person), the person and the thing (keep), the first two words (quote).
 */
interface Key { kind: Kind; subject: string; place: string }
interface Keyed { key: Key; fact: Fact }

/** How often a kind is drawn: numbers and quotes more often, as in the model's training. */
const kinds: readonly Kind[] = ['code', 'code', 'code', 'year', 'keep', 'keep', 'person', 'quote', 'quote']

/** Quotes are what the model gets wrong most often, which would be counted against a cache method. */
const askedKinds: readonly Kind[] = ['code', 'year', 'keep', 'person']

/** Share of facts that resemble an earlier one, so that a nearly right sentence is not enough. */
const similar = 0.5

const quoteQuestion = 'Continue: ... '

/** Draws in vain before the last tokens of a document are given up; one in about ten fits. */
const patience = 200

const capital = (text: string) => text.charAt(0).toUpperCase() + text.slice(1)
const person = (r: Generator) => r.choice(heads) + r.choice(tails)
const place = (r: Generator) => `the ${r.choice(adjectives)} ${r.choice(buildings)}`
const times = <T>(n: number, draw: () => T): T[] => Array.from({ length: n }, draw)

/** Words of any list in any order: only copying answers it. */
function quote(r: Generator): Keyed {
  const lists = [adjectives, buildings, materials, objects, jobs, heads, fillerWords]
  const words = times(r.int(6, 12), () => r.choice(r.choice(lists)))
  const end = r.int(3, 5)
  return {
    key: { kind: 'quote', subject: words[0] ?? '', place: words[1] ?? '' },
    fact: {
      kind: 'quote',
      sentence: `${capital(words.join(' '))}.`,
      question: quoteQuestion + words.slice(1, end).join(' '),
      answer: `... ${words.slice(end).join(' ')}.`
    }
  }
}

/** Like an earlier one: the same person with another thing, or another person with the same thing. */
function keep(r: Generator, like?: Key): Keyed {
  const same = like ? (r.real() < 0.5 ? 'person' : 'thing') : null
  const keeper = like && same === 'person' ? like.subject : person(r)
  const thing = like && same === 'thing' ? like.place : `${r.choice(materials)} ${r.choice(objects)}`
  const where = place(r)
  return {
    key: { kind: 'keep', subject: keeper, place: thing },
    fact: {
      kind: 'keep',
      sentence: `${keeper} keeps the ${thing} in ${where}.`,
      question: `Where does ${keeper} keep the ${thing}?`,
      answer: `In ${where}.`
    }
  }
}

type Placed = 'code' | 'year' | 'person'

/** Like an earlier one: the same attribute with half of the place's name, or the same place. */
function placedKey(r: Generator, kind: Placed, like?: Key): Key {
  const subject = { code: r.choice(codes)[0], year: 'opened', person: r.choice(jobs) }[kind]
  const where = kind === 'code' && r.real() < 0.25 ? person(r) : place(r)
  if (!like) return { kind, subject, place: where }
  const [, adjective, building] = like.place.split(' ') // a person is one word and has neither
  const roll = r.real()
  if (like.kind === kind && roll < 0.75) {
    if (!building) return { kind, subject: like.subject, place: where }
    const half = roll < 0.4 ? `the ${adjective} ${r.choice(buildings)}` : `the ${r.choice(adjectives)} ${building}`
    return { kind, subject: like.subject, place: half }
  }
  return { kind, subject, place: building || kind === 'code' ? like.place : where }
}

/** A number, a year or a name that belongs to a place. */
function placed(r: Generator, kind: Placed, like?: Key): Keyed {
  const key = placedKey(r, kind, like)
  const { subject, place: where } = key
  if (kind === 'year') {
    const year = r.int(1500, 2029)
    const sentence = `${capital(where)} opened in ${year}.`
    return { key, fact: { kind, sentence, question: `When did ${where} open?`, answer: `${year}.` } }
  }
  if (kind === 'person') {
    const name = person(r)
    const sentence = `The ${subject} of ${where} is ${name}.`
    return { key, fact: { kind, sentence, question: `Who is the ${subject} of ${where}?`, answer: `It is ${name}.` } }
  }
  const digits = codes.find(([name]) => name === subject)?.[1] ?? 1
  const number = r.int(10 ** (digits - 1), 10 ** digits - 1)
  const sentence = capital(`${r.choice(['', '', 'remember that ', 'note that '])}the ${subject} of ${where} is ${number}.`)
  return { key, fact: { kind, sentence, question: `What is the ${subject} of ${where}?`, answer: `${number}.` } }
}

function drawFact(r: Generator, earlier: readonly Keyed[]): Keyed {
  const drawn = earlier.length && r.real() < similar ? r.choice(earlier).key : undefined
  const like = drawn?.kind === 'quote' ? undefined : drawn
  const kind = !like ? r.choice(kinds)
    : like.kind === 'keep' || r.real() < 0.8 ? like.kind : r.choice(['code', 'year', 'person'] as const)
  if (kind === 'quote') return quote(r)
  return kind === 'keep' ? keep(r, like) : placed(r, kind, like)
}

/** The words a quote is asked by, or null. In small letters: at a sentence's start they have a capital. */
const askedWords = (fact: Fact) =>
  fact.kind === 'quote' ? fact.question.slice(quoteQuestion.length).toLowerCase() : null

/** True where `sentence` says words that a quote among `facts` is asked by. */
function repeatsQuote(sentence: string, facts: readonly Fact[]): boolean {
  const small = sentence.toLowerCase()
  return facts.some(fact => {
    const words = askedWords(fact)
    return words !== null && small.includes(words)
  })
}

/** True where the words `fact` is asked by stand elsewhere too, in its own sentence or an earlier fact's. */
function isAmbiguous(fact: Fact, earlier: readonly Fact[]): boolean {
  const words = askedWords(fact)
  if (words === null) return false
  const own = fact.sentence.toLowerCase()
  return own.indexOf(words) !== own.lastIndexOf(words) ||
    earlier.some(other => other.sentence.toLowerCase().includes(words))
}

/** `count` facts that differ in what they are about, each with one place in the text that answers it. */
function makeFacts(r: Generator, count: number): Fact[] {
  const drawn: Keyed[] = []
  const facts: Fact[] = []
  const taken = new Set<string>()
  while (facts.length < count) {
    const next = drawFact(r, drawn)
    const about = `${next.key.kind}/${next.key.subject}/${next.key.place}`
    if (taken.has(about) || isAmbiguous(next.fact, facts) || repeatsQuote(next.fact.sentence, facts)) continue
    taken.add(about)
    drawn.push(next)
    facts.push(next.fact)
  }
  return facts
}

/** A sentence that states no fact of any kind. */
function filler(r: Generator): string {
  const roll = r.real()
  if (roll < 0.07) { // made-up words, so that unknown text is nothing special
    const words = times(r.int(3, 9), () => times(r.int(1, 9), () => r.choice(letters)).join(''))
    return capital(words.join(' ')) + r.choice(['.', '?', '!'])
  }
  if (roll < 0.14)
    return capital(`${r.choice(who)} counted ${r.int(2, 10 ** r.int(1, 5) - 1)} ${r.choice(counted)} ${r.choice(when)}.`)
  if (roll < 0.24) return `${person(r)} ${r.choice(did)} ${place(r)} ${r.choice(when)}.`
  if (roll < 0.32)
    return capital(`${r.choice(when)} ${r.choice(who)} ${r.choice(did)} the ${r.choice(materials)} ${r.choice(objects)}.`)
  const short = `${r.choice(who)} ${r.choice(did)} ${r.choice(what)}`
  return capital(roll < 0.6 ? `${short}.` : `${short} ${r.choice(when)}.`)
}

/** Filler that comes to `room` tokens, or a few below where none fits. */
function fill(r: Generator, room: number, facts: readonly Fact[], count: (text: string) => number): string[] {
  const sentences: string[] = []
  for (let missed = 0; room > 0 && missed < patience;) {
    const sentence = filler(r)
    const tokens = count(` ${sentence}`)
    const fits = tokens === room || tokens * 2 <= room // the last one exactly, any other leaves room for one more
    if (!fits || repeatsQuote(sentence, facts)) {
      missed++
      continue
    }
    sentences.push(sentence)
    room -= tokens
    missed = 0
  }
  return sentences
}

/**
 * A document of `tokens` tokens or a few below, never above: facts in random places among filler. A question about a
 * fact is answered by one sentence only. The same options give the same text.
 */
export function makeDocument(options: DocumentOptions): Document {
  const { tokens, seed, count } = options
  if (!Number.isInteger(tokens) || tokens < 1)
    throw new RangeError(`makeDocument: tokens must be a whole number of at least 1, got ${tokens}`)
  const wanted = options.facts ?? Math.max(8, Math.min(200, Math.floor(tokens / 100)))
  if (!Number.isInteger(wanted) || wanted < 0)
    throw new RangeError(`makeDocument: facts must be a whole number of at least 0, got ${wanted}`)
  const r = generator(seed)
  const facts = makeFacts(r, wanted)
  // Filler comes first, and stays there: without a space before it a sentence may count differently.
  let first = filler(r)
  while (repeatsQuote(first, facts)) first = filler(r)
  const rest = facts.map(fact => fact.sentence)
  const measure = () => count([first, ...rest].join(' '))
  let used = measure()
  if (!(used <= tokens))
    throw new RangeError(`makeDocument: tokens must be at least ${used} for ${wanted} facts, got ${tokens}`)
  while (used < tokens) { // again where the whole counts less than its sentences
    const more = fill(r, tokens - used, facts, count)
    if (!more.length) break
    rest.push(...more)
    used = measure()
  }
  if (used > tokens)
    throw new RangeError(`makeDocument: count of the text must be at most that of its sentences, ${tokens}, got ${used}`)
  r.shuffle(rest)
  const order = new Map(rest.map((sentence, i) => [sentence, i]))
  const at = (fact: Fact) => order.get(fact.sentence) ?? 0
  return { text: [first, ...rest].join(' '), tokens: used, facts: facts.sort((a, b) => at(a) - at(b)) }
}

/**
 * `n` different facts of these kinds to ask for, one from each of `n` equal parts of the document, in random order.
 * For more from the same document, leave the first ones out of `document.facts`.
 */
export function makeQuestions(document: Document, n: number, seed: number, kinds = askedKinds): Fact[] {
  const facts = document.facts.filter(fact => kinds.includes(fact.kind))
  if (!Number.isInteger(n) || n < 0 || n > facts.length)
    throw new RangeError(`makeQuestions: n must be a whole number from 0 to ${facts.length}, the facts of these kinds, got ${n}`)
  const r = generator(seed)
  const start = (part: number) => Math.floor(part * facts.length / n)
  const asked = Array.from({ length: n }, (_, part) => r.choice(facts.slice(start(part), start(part + 1))))
  r.shuffle(asked)
  return asked
}
