// What a header may ask for. Every length in a file comes from outside, and none is believed beyond these.

/** Keys of metadata. Files have 20 to 60. */
export const metadataMax = 2 ** 16
/** Tensors. The largest mixtures with one tensor an expert have about 30,000. */
export const tensorsMax = 2 ** 17
/** Bytes of a key: the format's own limit. */
export const keyBytesMax = 2 ** 16 - 1
/** Bytes of a tensor's name. ggml keeps 63, some builds of it 127. */
export const nameBytesMax = 255
/** Bytes of a string. The longest real ones are chat templates of some 100 KB. */
export const stringBytesMax = 2 ** 24
/** Elements of one array. The longest real ones are merges, about 500,000. */
export const arrayMax = 2 ** 22
/** Arrays in arrays: depth. No known key nests at all. */
export const nestingMax = 4
/** Arrays in one header, inner ones included: an empty one takes 12 bytes in the file and far more in memory. */
export const arraysMax = 2 ** 16
/** Axes of a tensor: ggml's own limit. */
export const axesMax = 4
/** Bytes of alignment. Files have 32; a page of the largest kind is 64 KiB. */
export const alignmentMax = 2 ** 16
/** Bytes before the tensor data. A vocabulary of 260,000 tokens with merges takes about 16 MB. */
export const headerBytesMax = 2 ** 27
/** Bytes of the first read: whole headers of small vocabularies. */
export const firstReadBytes = 2 ** 20
/** Bytes of the largest read; reads double up to it, so that a large header takes few and a small one little. */
export const readBytesMax = 2 ** 24
