// Package s3 is the back end of package blob on any S3: one object a blob in its sealed form (package sealed), named below a prefix as files
// names its files, so that a folder of files that is copied there opens.
//
// It promises what files promises. A small blob is one PutObject; a larger one is a multipart upload whose first part, with the header, is sent
// last, so an object is whole or absent. Every request body is signed, so a body that the network changed is refused by the S3; what is read is
// proven segment by segment. Requests that may be made again are, with growing pauses, until a time budget is spent; then the error says what the S3
// did. Sweep deletes what no record names and aborts uploads that were abandoned.
//
// It never lists to find a blob, never shows what the S3 said about another's rights to a caller, and trusts the S3 for durability only.
// One prefix belongs to one key ring: the object KEY says which, and another's is refused. Format: docs/formats/blob.md.
package s3
