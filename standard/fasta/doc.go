// Package fasta reads reference sequences: the faidx index of a FASTA file and the digests that name each sequence.
//
// The digests are those of refget 2.0: MD5 and SHA-512 cut to 24 bytes, over the sequence in upper case without white space; the MD5 is also M5 of
// a SAM header. An Indexer is written to, so that storing, hashing and indexing share one pass; it keeps one line at most.
package fasta
