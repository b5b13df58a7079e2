// Package vcf reads VCF 4.0 to 4.5: the header and its records, typed.
//
// The reader is strict where a wrong reading would follow (columns, positions, alleles, genotypes, numbers that the header declares) and lets pass
// what is only convention (types of reserved keys, sort order, URLs): files of common callers break conventions every day. A Record's fields are
// slices of its line, valid until the line's buffer is used again, so that a reader of millions of records allocates almost nothing. Lines, header
// and counts are bounded; errors name the line and column and never quote more than a key.
package vcf
