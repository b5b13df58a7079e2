// Package files is the local back end of package blob: one file a blob in its sealed form (package sealed), in folders by the first two digits
// of its id.
//
// A blob is written to a temporary file, synced, renamed to its name and its folder synced; only then is it acknowledged. It never retries a
// failed sync (the store takes no more writes until a restart), and needs no key to delete. A deletion that a power cut undid is done again by
// the sweep. Format: docs/formats/blob.md.
package files
