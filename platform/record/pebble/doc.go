// Package pebble is the embedded back end of package record, on Pebble.
//
// It owns one folder: a Pebble database whose every file is encrypted, whose record bodies are sealed once more under their space's own data key, so that
// dropping a space destroys what is readable of it. The layout is in docs/formats/record.md.
//
// How a batch is made: Update takes the caller's locks in order and runs the caller's function, in parallel with others; bodies are compressed and sealed
// there. The commit's time is fixed when the function first asks for it, and batches commit in the order of their times (line.go). A commit checks that
// no record changed since the batch saw it, assigns pids, writes postings by difference, applies without waiting for the disk, and leaves the line;
// waiting for the disk is shared by all that commit meanwhile.
//
// How a query is answered: every node of the algebra becomes a stream of pids in one direction that can seek; exact postings leapfrog, and what is dear
// to list is tested on the entries that are kept beside each record (and.go). Pages in the order of an index walk that index (walk.go).
package pebble
