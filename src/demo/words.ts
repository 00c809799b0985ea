// The words the embedded model was trained on. The lists are those of models/corpus.py: a word that is not in
// them is spelled in pieces, which the model was not measured with.

const words = (text: string): readonly string[] => text.trim().split(/\s+/)
const phrases = (text: string): readonly string[] => text.split(',').map(phrase => phrase.trim())

export const adjectives = words(`
  quiet grey silver northern southern eastern western hidden broken golden narrow ancient little upper lower
  frozen painted wooden stone empty bright distant crooked round lonely royal sunny windy green black white
  blue amber crimson misty sleepy famous humble steep hollow`)

export const buildings = words(`
  harbour station mill tower garden bridge library market chapel castle cottage lighthouse museum workshop
  cellar attic stable orchard temple school hotel theatre factory warehouse bakery clinic gallery barn
  pavilion palace quarry dock farm inn vault archive arcade abbey forge kiosk`)

export const materials = words('brass copper iron leather velvet glass ivory paper cotton marble plastic linen')

export const objects = words(`
  key lantern map ring watch letter compass mirror flute ledger coin mask needle ribbon bottle chest`)

export const jobs = words('owner keeper painter builder doctor guard cook teacher captain clerk')

/** What a number can be called, with its count of digits. */
export const codes: readonly (readonly [name: string, digits: number])[] = [
  ['access code', 5], ['locker number', 4], ['phone number', 6], ['serial number', 5], ['room number', 3]
]

/** A person is a head and a tail: Mar-a, Tol-in. */
export const heads = words(`
  Mar Tol El Bra Jon Kas Lin Or Per Ros Sim Tam Ul Ver Wil Yas Zan Dor Fen Gar Hel Iv Ned Ad Cal`)
export const tails = words('a in or ek us is ena ovic ard elle ander ius otte ira on an eth ik osa um')

// Filler: who did what to what, and when.
export const who = phrases(`people,children,visitors,travellers,neighbours,sailors,farmers,students,the old man,
  the young woman,the mayor,the postman,a stranger,the baker,our guide,my sister`)
export const did = phrases(`walked along,looked at,talked about,waited near,returned to,wrote about,passed by,
  remembered,described,dreamed of,sat beside,painted,liked,visited,avoided,searched`)
export const what = phrases(`the river,the road,the hill,the valley,the forest,the sea,the field,the village,
  the town,the weather,the rain,the snow,the morning light,the evening sky,a small boat,a long story,
  an open window,a cold wind,the train,the street,the clouds,an old song`)
export const when = phrases(`in the morning,in the evening,at noon,after the storm,before winter,
  during the summer,every day,once a week,without a word,for a long time,with great care,as usual,
  again and again,before dinner`)
export const counted = words('birds boats steps stones')

/** Every single word of the filler phrases, once. */
export const fillerWords: readonly string[] =
  [...new Set([who, did, what, when].flat().flatMap(words))].sort()

/** Letters of made-up words; the common ones are listed more often. */
export const letters: readonly string[] = [...'aaabcdeeefghiiijklmnooopqrstuuvwxyz']
