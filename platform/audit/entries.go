package audit

import (
	"bytes"
	"context"

	"github.com/transparency-dev/merkle/rfc6962"
	"github.com/transparency-dev/tessera/client"

	"github.com/galen-health/galen/platform/errs"
)

// source is what a tree's files are read by: within its server, or by themselves.
type source interface {
	ReadTile(ctx context.Context, level, index uint64, p uint8) ([]byte, error)
	ReadEntryBundle(ctx context.Context, index uint64, p uint8) ([]byte, error)
}

// leaves returns the entries of bundle n in a tree of this size. Each is compared with its leaf: a bundle has no checksum of its own, and what a disk made of an entry must
// not be answered.
func leaves(ctx context.Context, from source, n, size uint64) ([][]byte, error) {
	first := n * bundleSize
	want := min(bundleSize, size-first)
	b, err := client.GetEntryBundle(ctx, from.ReadEntryBundle, n, size)
	if err != nil {
		return nil, unreadable(err)
	}
	if uint64(len(b.Entries)) < want {
		return nil, errs.New(errs.Corrupt, "entry %d of the audit log is missing: run galen verify", first+uint64(len(b.Entries)))
	}
	hashes, err := client.FetchLeafHashes(ctx, from.ReadTile, first, want, size)
	if err != nil {
		return nil, unreadable(err)
	}
	if uint64(len(hashes)) < want {
		return nil, errs.New(errs.Corrupt, "leaf %d of the audit log is missing: run galen verify", first+uint64(len(hashes)))
	}
	for i, e := range b.Entries[:want] {
		if !bytes.Equal(rfc6962.DefaultHasher.HashLeaf(e), hashes[i]) {
			return nil, errs.New(errs.Corrupt, "entry %d of the audit log is not the one that was written: run galen verify", first+uint64(i))
		}
	}
	return b.Entries[:want], nil
}

// Entries returns entries of the tree as they are kept, from a number on: those of one bundle at most, none when there are no more yet. One that retention dropped is errs.Gone.
func (m *Merkle) Entries(ctx context.Context, from uint64) ([][]byte, error) {
	size, err := m.reader.IntegratedSize(ctx)
	if err != nil || from >= size {
		return nil, err
	}
	if c := m.horizon.Load(); from < c.First {
		return nil, c.dropped(from)
	}
	list, err := leaves(ctx, m.reader, from/bundleSize, size)
	if err != nil {
		return nil, err
	}
	return list[from%bundleSize:], nil
}
