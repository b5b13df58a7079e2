// Package ingest takes a mixed folder of health data into a running Galen: every file is routed by its content, what is supported goes to the service that
// owns it through that service's own contract, and the rest is reported with the reason.
//
// It is a client: it holds no store of ours and sees only what the contracts show. It can be killed at any moment and run again: what was taken is
// remembered in a ledger (objects in an S3 bucket of the server, one per content hash, written only after the owner has acknowledged), and every landing
// is idempotent by itself, so that a landing whose ledger entry was lost changes nothing when it is done again. A second run over the same folder
// therefore changes nothing.
package ingest
