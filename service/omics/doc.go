// Package omics is the HealthOmics service: reference stores, sequence stores with their read sets, and variant stores that are queried by SQL.
//
// It owns references, read sets, uploads, variant tables and their jobs. What is said about them lives in the record space "omics"; their bytes
// are blobs under the key of their store. Deleting a store destroys the key that was made for it.
//
// It promises: a read set that is ACTIVE was read to its end, every block and record of it checked, and its semantic ETag is the hash that `samtools
// view` (BAM, CRAM) or `gzip -dc` (FASTQ) of the source gives; an import that was interrupted goes on where it stood and makes nothing twice; importing
// the same VCF again changes no row.
//
// The canonical form behind the ETags: FASTQ is the whole uncompressed file; BAM and uBAM are the alignment lines of the SAM text, as stored; CRAM is
// the same text decoded without making up MD and NM (htslib's decode_md=0), so that the value does not depend on the decoder. Headers are never
// hashed: a stored BAM or CRAM has one @CO line more than its source.
//
// Sources are read and results written through the s3 contract under the role that the caller passed. Reference: Omics 2022-11-28.
package omics
