// Package fastq checks FASTQ: reads of four lines each, name, bases, "+", qualities (Cock et al. 2010, the Sanger variant, Phred+33).
//
// A Checker is written to, so that hashing, storing and checking share one pass. It keeps one line at most. Wrapped FASTQ (bases over several
// lines) is refused: no sequencer writes it and it cannot be told from damage.
package fastq
