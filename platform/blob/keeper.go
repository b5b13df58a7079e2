package blob

import (
	"context"
	"time"
)

// Keeper is a service whose records name blobs.
type Keeper interface {
	// Keeps reports whether a record of the service names the blob.
	Keeps(ctx context.Context, id ID) (bool, error)
}

// Sweep deletes the blobs that are older than the cutoff and that no keeper keeps. Every service that stores blobs must be among the keepers,
// also one that is switched off on this server: what nobody speaks for is deleted. The cutoff must leave time between a body and its record.
func Sweep(ctx context.Context, s Store, before time.Time, keepers ...Keeper) (deleted int, err error) {
	return s.Sweep(ctx, before, func(id ID) (bool, error) {
		for _, k := range keepers {
			if kept, err := k.Keeps(ctx, id); err != nil || kept {
				return kept, err
			}
		}
		return false, nil
	})
}
