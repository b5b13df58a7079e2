package app

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/galen-health/galen/platform/blob"
)

// heldBlobs puts deletions off while somebody needs the blobs of an earlier state: a backup, a verification. A deletion that a crash cuts off is the sweep's.
type heldBlobs struct {
	blobs
	mu      sync.Mutex
	holders int
	waiting []blob.ID
}

// hold lets no blob be deleted until release is called, which deletes what was put off.
func (h *heldBlobs) hold() (release func(context.Context) error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.holders++
	return h.release
}

func (h *heldBlobs) release(ctx context.Context) error {
	h.mu.Lock()
	var now []blob.ID
	if h.holders--; h.holders == 0 {
		now, h.waiting = h.waiting, nil
	}
	h.mu.Unlock()
	var all []error
	for _, id := range now {
		all = append(all, h.blobs.Delete(ctx, id))
	}
	return errors.Join(all...)
}

// Delete implements blob.Store.
func (h *heldBlobs) Delete(ctx context.Context, id blob.ID) error {
	h.mu.Lock()
	held := h.holders > 0
	if held {
		h.waiting = append(h.waiting, id)
	}
	h.mu.Unlock()
	if held {
		return nil
	}
	return h.blobs.Delete(ctx, id)
}

// Sweep implements blob.Store; it sweeps another time.
func (h *heldBlobs) Sweep(ctx context.Context, before time.Time, keep func(blob.ID) (bool, error)) (int, error) {
	h.mu.Lock()
	held := h.holders > 0
	h.mu.Unlock()
	if held {
		return 0, nil
	}
	return h.blobs.Sweep(ctx, before, keep)
}
