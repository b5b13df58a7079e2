// Package backup keeps copies of a whole Galen in a folder or a bucket: records, blobs, keys, the audit log.
//
// Owns the format of a backup (docs/formats/backup.md). Promises: a point shows one commit of the records, and everything that they name; what was copied before is
// not copied again; all of it is sealed, under keys that only the root key opens; a point is written last, when all that it names was written and read back, so that
// a backup that was cut off leaves no point and the next one goes on from what it left. Only a prune deletes: points, and what no other point names.
// Never: changes what it wrote.
package backup
