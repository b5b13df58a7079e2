package event

import (
	"context"
	"time"
)

// Lag is how far a subscriber is behind: the age of the oldest message that it has not had; 0 when it has had all.
func (b *Bus) Lag(ctx context.Context) (map[string]time.Duration, error) {
	b.mu.Lock()
	at := make(map[string]uint64, len(b.subs))
	for name, s := range b.subs {
		at[name] = s.position()
	}
	b.mu.Unlock()
	out := make(map[string]time.Duration, len(at))
	for name, after := range at {
		next, err := b.store.Outbox(ctx, after, 1)
		if err != nil {
			return nil, err
		}
		out[name] = 0
		if len(next) > 0 {
			out[name] = max(0, time.Since(next[0].Time))
		}
	}
	return out, nil
}
