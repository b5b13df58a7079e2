// Package cram reads CRAM 3.0 and 3.1: containers, blocks and their codecs, and the records as SAM text (CRAMv3, CRAMcodecs).
//
// Scan reads a file once, in a stream, container by container and several of them at a time. The text is that of htslib with decode_md=0: MD and NM
// are as stored, never made up. References are asked for by name and MD5; every slice that names the MD5 of its reference is checked against it. All
// block and container checksums are checked, and a file without the container that marks its end is truncated.
//
// Lengths and counts are checked before they are used; a slice's records and bases are bounded, because a record can cost no byte at all. Nothing
// here stores or seeks.
package cram
