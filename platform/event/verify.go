package event

import (
	"context"
	"encoding/json"

	"github.com/galen-health/galen/platform/errs"
)

// Verify reads every message of the outbox: one that holds an event is an event with a source and a detail type, and any other is of a topic that somebody watches. It calls fault
// for each that is not, since nobody would ever hear of it, and returns how many there are. All who watch must have told the bus before.
func (b *Bus) Verify(ctx context.Context, fault func(error)) (n int, err error) {
	b.mu.Lock()
	known := map[string]bool{Topic: true}
	for _, w := range b.watches {
		known[w.topic] = true
	}
	b.mu.Unlock()
	for after := uint64(0); ; {
		list, err := b.store.Outbox(ctx, after, batch)
		if errs.Is(err, errs.Corrupt) { // the records' verification tells which
			return n, nil
		}
		if err != nil || len(list) == 0 {
			return n, err
		}
		for _, m := range list {
			n++
			after = m.Seq
			if !known[m.Topic] {
				fault(errs.New(errs.Corrupt, "message %d of the outbox is of topic %q, which nobody takes", m.Seq, m.Topic))
				continue
			}
			var e message
			if m.Topic != Topic {
				continue
			}
			if err := json.Unmarshal(m.Body, &e); err != nil || e.ID == "" || e.Source == "" || e.DetailType == "" || e.Time.IsZero() {
				fault(errs.New(errs.Corrupt, "message %d of the outbox is no event", m.Seq))
			}
		}
	}
}
