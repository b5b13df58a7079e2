// Package sam reads BAM: its header, its records as SAM text, and the BAI index of a sorted file (SAMv1).
//
// The text of a record is what htslib's sam_format1 writes, byte for byte: `samtools view x.bam` is the definition, and the semantic ETags of
// read sets are hashes of it. Floating-point array values are rounded to six significant digits, ties to even, as current
// htslib does (that of Debian 12 rounds them up).
//
// Scan does all of it in one pass over a stream, with several workers. Every length is checked before it is used; errors name the record.
// Nothing here stores or seeks.
package sam
