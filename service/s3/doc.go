// Package s3 is the Amazon S3 of Galen: the objects that go into and come out of the health services.
//
// It owns buckets and objects: names, versions, tags, metadata, policies and multipart uploads are records of the space "s3", bodies are blobs.
// Every body is encrypted: under the KMS key that the caller or the bucket names (SSE-KMS, after the key's policy allowed the caller), else under
// the account's own key (AES256). Keys of objects are names, never paths. Bodies stream in both directions and are never held whole.
//
// It promises: an acknowledged object survives a crash; a reader sees one whole version; a conditional write is decided under the object's lock;
// checksums that the caller gives are verified before anything is visible; a replaced body is deleted after a grace time, so that reads in
// progress end well. It has no ACLs (as buckets with bucket-owner-enforced ownership), no object lock and no customer-provided keys: asking for
// them is an error, never ignored. Contract: S3 2006-03-01.
package s3
