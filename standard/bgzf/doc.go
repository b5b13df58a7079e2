// Package bgzf reads and writes BGZF: gzip cut into blocks of at most 64 KiB, so that a file can be read from many places and by many
// workers (SAMv1 §4.1). It also reads plain gzip, block by block from one stream, for files that are only gzipped.
//
// A Reader hands out blocks in file order while several workers inflate ahead; a Writer does the reverse. Every block's CRC and size are
// checked. A BGZF file that does not end with the empty block that marks its end is reported as truncated. Nothing here seeks or
// stores; memory is bounded by the number of workers.
package bgzf
