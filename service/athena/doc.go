// Package athena is the Athena service: SQL over the tables that Galen's other services publish.
//
// It owns queries and their results. A query runs as its caller: tables are read with the caller's rights (the action and resource that the table
// names), and the CSV file goes to the caller's output location with the caller's rights. The SQL itself runs in a confined child process
// (platform/sql). A query that is running when the server stops runs again at the next start, as the same caller.
//
// It offers reading: one SELECT, SHOW, DESCRIBE or EXPLAIN a query, in the one workgroup "primary" and the one catalog AwsDataCatalog. The dialect is
// DuckDB's with Athena's names for common functions; where Trino's semantics differ, DuckDB's hold. Reference: Athena 2017-05-18.
package athena
