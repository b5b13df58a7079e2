package backup

import (
	"context"
	"time"
)

// Hurry shortens the times of leases until what it returns is called.
func Hurry(beat, still time.Duration) (back func()) {
	b, s := leaseBeat, leaseStill
	leaseBeat, leaseStill = beat, still
	return func() { leaseBeat, leaseStill = b, s }
}

// HoldAs holds a place as a backup or a prune does.
func HoldAs(ctx context.Context, place Place, kind string) (still, release func(context.Context) error, err error) {
	l, err := hold(ctx, place, kind)
	if err != nil {
		return nil, nil, err
	}
	return l.still, l.release, nil
}
