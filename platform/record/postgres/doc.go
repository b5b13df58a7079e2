// Package postgres is the back end of package record on PostgreSQL, for several servers on one database.
//
// It owns the schema "galen" of one database (docs/formats/postgres.md) and nothing on the disk of the server. Bodies, ids, index entries and outbox messages are
// sealed before they leave the process; index values are hidden so that the database can still compare them (veil.go).
//
// How a batch is made: Update runs the caller's function, in parallel with others, over one snapshot. What it wrote waits for the process's committer, which takes
// all that is ready into one transaction: it locks the line (one row: every commit of every process goes through it), checks that nothing that the batches
// saw has changed, and writes. A batch that was overtaken (by another process that has a later time, or by a change of what it read under a lock) is made again
// within the next transaction, while the line is held, so it always gets through. The row lock makes the order of commits, of their times and of their
// becoming visible one order, for all processes.
//
// Promises: a commit is acknowledged after PostgreSQL's. When the connection breaks while it commits, its fate is found out by the token that every transaction
// leaves: it is never made twice. A view is one snapshot of PostgreSQL. A server that dies holds nothing up: its transactions end with its connections.
//
// It never: trusts its memory about what other processes may have changed; keeps a transaction open while it waits for a caller, but for views.
package postgres
