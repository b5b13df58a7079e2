// Package blob keeps immutable, encrypted, checked objects.
//
// Invariants: an id that was returned can be read until deleted; what is read is what was written, or an error (errs.Corrupt); after a
// crash an object is whole or absent; nothing is in the clear at rest. Bodies go here first, then the record that names them: a blob
// that no record names is swept after a grace time. Layout of the local back end: docs/formats/blob.md.
package blob

import (
	"context"
	"io"
	"time"

	"github.com/galen-health/galen/platform/key"
)

// ID names a blob: 32 lower-case hex digits, random.
type ID string

// Info describes a stored blob. It is kept by whoever names the blob, and can be read back with Stat.
type Info struct {
	ID      ID        `json:"id"`
	Size    int64     `json:"size"`   // plaintext bytes
	SHA256  [32]byte  `json:"sha256"` // of the plaintext
	MD5     [16]byte  `json:"md5"`    // of the plaintext: S3 ETags and Content-MD5 need it
	Created time.Time `json:"created"`
	KeyARN  string    `json:"keyArn"`
}

// Range is bytes [Offset, Offset+Length) of the plaintext; Length < 0 means to the end. The zero Range is empty: use All.
type Range struct{ Offset, Length int64 }

// All is the whole blob.
var All = Range{0, -1}

// Store keeps blobs.
type Store interface {
	// Put reads r to its end and returns when the blob is durable. The data key is wrapped under ref.
	Put(ctx context.Context, ref key.Ref, r io.Reader) (Info, error)
	// Create starts a blob that is written in one go and becomes visible and durable at Commit.
	Create(ctx context.Context, ref key.Ref) (Writer, error)
	// Open reads a range. errs.NotFound; errs.OutOfRange when the offset is past the end; errs.Corrupt from Read when a check fails.
	Open(ctx context.Context, id ID, r Range) (io.ReadCloser, error)
	// ReadAt style access for formats that seek.
	ReaderAt(ctx context.Context, id ID) (ReaderAt, error)
	Stat(ctx context.Context, id ID) (Info, error)
	// Delete removes a blob; deleting an absent one is not an error.
	Delete(ctx context.Context, id ID) error
	// Sweep deletes blobs older than the cutoff that keep does not name, and returns how many. keep is asked once a blob.
	Sweep(ctx context.Context, before time.Time, keep func(ID) (bool, error)) (deleted int, err error)
}

// Writer writes one blob.
type Writer interface {
	io.Writer
	Commit() (Info, error) // durable when it returns
	Abort()                // after Commit it does nothing
}

// ReaderAt reads any range of one blob.
type ReaderAt interface {
	io.ReaderAt
	io.Closer
	Size() int64
}
