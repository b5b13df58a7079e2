// Package files is the local back end of package blob: one encrypted file a blob, in folders by the first two digits of its id.
//
// A blob is written to a temporary file, synced, renamed to its name and its folder synced; only then is it acknowledged. Its body is a Tink
// streaming AEAD stream (AES256_GCM_HKDF, segments of 1 MiB) under a data key of its own, so a range decrypts only the segments that it
// touches; its header (size, hashes, wrapped data key, encryption context) is authenticated with the same data key and bound to the id.
//
// It never serves a byte whose check failed, never retries a failed sync (the store takes no more writes until a restart), and needs no
// key to delete. A deletion that a power cut undid is done again by the sweep. Format: docs/formats/blob.md.
package files
