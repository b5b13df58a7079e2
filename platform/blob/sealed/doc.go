// Package sealed is the form that blobs have at rest, the same in every back end: a header, then the body as a Tink streaming AEAD stream
// (AES256_GCM_HKDF, segments of 1 MiB) under a data key of the blob's own. Format: docs/formats/blob.md.
//
// A range decrypts only the segments that it touches. The header (size, hashes, wrapped data key, encryption context) is authenticated with
// the same data key and bound to the blob's id, so no blob passes for another. It never gives out a byte whose check failed, and asks for the
// state of the KMS key before each segment that it opens. It knows nothing of where the bytes are: a back end gives it an io.Writer, and a Source.
package sealed
