// Package sql answers SQL over tables that services publish as Parquet.
//
// A service implements Catalog; Engine runs one query at a time in a child process of this binary (package duck) that holds no keys, opens
// no sockets, starts nothing, writes no file and sees only the tables that the query names, which the caller may read. The child is killed when its
// time or the caller's patience ends; its memory is bounded.
//
// Parquet files are decrypted into files that have no name: they are unlinked before the first byte is written and handed over as open
// descriptors, so that nothing in the clear can be found by name and a crash frees them.
package sql
