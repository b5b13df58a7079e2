package audit

import (
	"context"

	"github.com/transparency-dev/tessera/client"

	"github.com/galen-health/galen/platform/errs"
)

// Entries returns entries of the tree as they are kept, from a number on: those of one bundle at most, none when there are no more yet.
func (m *Merkle) Entries(ctx context.Context, from uint64) ([][]byte, error) {
	size, err := m.reader.IntegratedSize(ctx)
	if err != nil || from >= size {
		return nil, err
	}
	n := from / bundleSize
	b, err := client.GetEntryBundle(ctx, m.reader.ReadEntryBundle, n, size)
	if err != nil {
		return nil, err
	}
	have := min(uint64(len(b.Entries)), size-n*bundleSize)
	if from%bundleSize >= have {
		return nil, errs.New(errs.Corrupt, "entry %d of the audit log is missing", from)
	}
	return b.Entries[from%bundleSize : have], nil
}
