// Package ship copies the audit log to where others look after it: a file of JSON lines, a syslog collector (RFC 5424 over a Unix socket,
// TCP or TLS), or a bucket in CloudTrail's layout.
//
// It follows the log's tree at its own pace, so a receiver that is slow or gone holds up no request: what it has not had yet stays in the log. How far it is stands in
// a file per receiver, so it goes on there after a restart. Promises: every entry at least once, in order; an entry comes again only after a crash or a broken
// connection; eventID tells it. An object of a bucket that comes again takes the place of itself. Syslog over TCP has no acknowledgement: what lay in a connection that broke may be lost to the receiver, and what the connection took since
// it was last known to be well is sent again. The log itself, with its proofs, stays the record.
package ship
