// Package duck is the child process of package sql: it runs one query with DuckDB, in memory, and ends.
//
// Before it looks at the SQL it gives up, for good, all that a query does not need: DuckDB may read only the descriptors that were handed over, loads
// no extension and takes no setting; the process may open no socket, start no program, trace none and write no file (Linux: seccomp and
// resource limits). It ends when its standard input does, so that it never outlives its parent.
package duck
