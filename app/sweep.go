package app

import (
	"context"
	"time"

	"github.com/galen-health/galen/platform/blob"
)

const (
	sweepEvery = 6 * time.Hour
	// sweepGrace is how old a blob must be before nobody naming it means that nobody will: far longer than any upload or import holds a body without
	// its record.
	sweepGrace = 24 * time.Hour
)

// keepers are all services that speak for blobs. A service joins by having Keeps, switched off or not: the sweep deletes what nobody speaks for, so
// TestKeepers holds every service that stores blobs to it.
func (s *services) keepers() (out []blob.Keeper) {
	for _, r := range s.registrations {
		if k, ok := r.Service.(blob.Keeper); ok {
			out = append(out, k)
		}
	}
	return out
}

// sweep is the tick that deletes unnamed blobs a few times a day.
func (e *engines) sweep(keepers []blob.Keeper) func(context.Context) error {
	next := time.Now().Add(sweepEvery)
	return func(ctx context.Context) error {
		now := time.Now()
		if now.Before(next) {
			return nil
		}
		next = now.Add(sweepEvery)
		return e.deleteUnnamed(ctx, keepers)
	}
}

// deleteUnnamed deletes the blobs that no record names: what a crash between a body and its record left.
func (e *engines) deleteUnnamed(ctx context.Context, keepers []blob.Keeper) error {
	n, err := blob.Sweep(ctx, e.blobs, time.Now().Add(-sweepGrace), keepers...)
	if n > 0 {
		e.log.Info("blobs that no record names were deleted", "blobs", n)
	}
	return err
}
