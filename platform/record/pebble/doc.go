// Package pebble is the embedded back end of package record, on Pebble.
//
// It owns one folder: a Pebble database whose every file is encrypted, whose record bodies are sealed once more under their space's own data key, so that dropping a
// space destroys what is readable of it. The key layout is in docs/formats/record.md.
//
// How a batch is made: Update takes the caller's locks in order, then a ticket, which fixes the commit's time. The caller's function runs in parallel with
// others; bodies are compressed and sealed there. Commits then happen in ticket order, so sequence and time rise together: each checks its conditions, assigns
// pids, writes postings by difference, applies without waiting, and leaves the line; waiting for the disk is shared by all that commit meanwhile.
package pebble
