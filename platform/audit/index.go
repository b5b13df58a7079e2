package audit

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/transparency-dev/tessera"
	"github.com/transparency-dev/tessera/client"

	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/key"
	"github.com/galen-health/galen/platform/record"
)

// Space of the look-up index. It is derived: dropping it makes the next start read the log anew.
const Space record.Space = "audit"

var entries = record.Kind[Entry]{
	Name:     "audit.entry",
	Volatile: true,
	Indexes: record.Indexes[Entry]{
		record.ByTime("time", func(e *Entry) time.Time { return e.Time }),
		record.ByToken("id", func(e *Entry) string { return e.ID }),
		record.ByToken("name", func(e *Entry) string { return e.Name }),
		record.ByToken("source", func(e *Entry) string { return e.Source }),
		record.ByToken("principal", func(e *Entry) string { return e.Principal }),
		record.ByToken("key", func(e *Entry) string { return e.AccessKeyID }),
		record.ByToken("username", func(e *Entry) string { return e.Username() }),
		record.ByToken("error", func(e *Entry) string { return e.Error }),
		record.ByToken("readonly", func(e *Entry) string { return fmt.Sprint(e.ReadOnly) }),
		{Name: "resource", Values: func(e *Entry) (out []record.Value) {
			for _, r := range e.Resources {
				out = append(out, record.Token("", r))
			}
			return out
		}},
		{Name: "resourcetype", Values: func(e *Entry) (out []record.Value) {
			for _, r := range e.Resources {
				if t := ResourceType(r); t != "" {
					out = append(out, record.Token("", t))
				}
			}
			return out
		}},
	},
}

// progress is how much of the log is indexed.
type progress struct {
	Next uint64 `json:"next"`
}

var progresses = record.Kind[progress]{Name: "audit.progress", Volatile: true}

type index struct {
	store  record.Store
	reader tessera.LogReader
	poke   chan struct{}

	mu   sync.Mutex
	next uint64        // entries below are indexed
	grew chan struct{} // closed and replaced when next moved
}

func openIndex(ctx context.Context, store record.Store, reader tessera.LogReader) (*index, error) {
	if err := store.Declare(entries.Def(), progresses.Def()); err != nil {
		return nil, err
	}
	if err := store.CreateSpace(ctx, Space, key.Ref{}); err != nil {
		return nil, err
	}
	x := &index{store: store, reader: reader, poke: make(chan struct{}, 1), grew: make(chan struct{})}
	v, err := store.View(ctx, Space)
	if err != nil {
		return nil, err
	}
	defer v.Close()
	p, _, err := progresses.Get(v, "log")
	if err != nil && !errs.Is(err, errs.NotFound) {
		return nil, err
	}
	if p != nil {
		x.next = p.Next
	}
	size, err := reader.IntegratedSize(ctx)
	if err != nil {
		return nil, err
	}
	if size < x.next {
		return nil, errs.New(errs.Corrupt, "the audit log has %d entries, but %d were there before: entries were cut off", size, x.next)
	}
	return x, nil
}

func (x *index) wake() {
	select {
	case x.poke <- struct{}{}:
	default:
	}
}

// gather is how long the index waits for more entries: it must not take the disk's time from the log.
const gather = 30 * time.Millisecond

// follow indexes what the log gains. It fails softly: the log itself is whole, only look-ups lag behind.
func (x *index) follow(ctx context.Context, log *slog.Logger) {
	told := false
	for ctx.Err() == nil {
		more, err := x.step(ctx)
		if err != nil && ctx.Err() == nil && !told {
			log.Error("the audit index lags behind the log", "error", errs.As(err).Message)
			told = true
		}
		if err == nil {
			told = false
		}
		if more && err == nil {
			continue
		}
		select {
		case <-ctx.Done():
		case <-x.poke:
		case <-time.After(time.Second):
		}
		select { // entries that come together are indexed together; and a failing store is not hammered by every call
		case <-ctx.Done():
		case <-time.After(gather):
		}
	}
}

// step indexes the rest of one bundle, at most 256 entries, in one batch with the new position.
func (x *index) step(ctx context.Context) (more bool, err error) {
	size, err := x.reader.IntegratedSize(ctx)
	if err != nil {
		return false, err
	}
	x.mu.Lock()
	next := x.next
	x.mu.Unlock()
	if next >= size {
		return false, nil
	}
	b, err := client.GetEntryBundle(ctx, x.reader.ReadEntryBundle, next/256, size)
	if err != nil {
		return false, err
	}
	end := min(size, (next/256+1)*256)
	_, err = x.store.Update(ctx, Space, nil, func(tx record.Tx) error {
		for i := next; i < end; i++ {
			if i%256 >= uint64(len(b.Entries)) {
				return errs.New(errs.Corrupt, "entry %d of the audit log is missing", i)
			}
			var e Entry
			if err := json.Unmarshal(b.Entries[i%256], &e); err != nil {
				return errs.Wrap(errs.Corrupt, err, "entry %d of the audit log cannot be read", i)
			}
			if err := entries.Put(tx, fmt.Sprintf("%020d", i), &e); err != nil {
				return err
			}
		}
		return progresses.Put(tx, "log", &progress{end})
	})
	if err != nil {
		return false, err
	}
	x.mu.Lock()
	x.next = end
	close(x.grew)
	x.grew = make(chan struct{})
	x.mu.Unlock()
	return end < size, nil
}

// reach waits until everything that the log has now is indexed.
func (x *index) reach(ctx context.Context) error {
	size, err := x.reader.IntegratedSize(ctx)
	if err != nil {
		return err
	}
	x.wake()
	limit := time.After(10 * time.Second)
	for {
		x.mu.Lock()
		done, grew := x.next >= size, x.grew
		x.mu.Unlock()
		if done {
			return nil
		}
		select {
		case <-grew:
		case <-ctx.Done():
			return ctx.Err()
		case <-limit:
			return errs.New(errs.Unavailable, "the audit index is being built; try again later")
		}
	}
}

// Lookup finds entries, newest first. It sees every entry whose Append returned before.
func (m *Merkle) Lookup(ctx context.Context, f Filter, after string, limit int) ([]Entry, string, error) {
	if m.index == nil {
		return nil, "", errs.New(errs.Unsupported, "this audit log has no look-up index")
	}
	if err := m.index.reach(ctx); err != nil {
		return nil, "", err
	}
	v, err := m.index.store.View(ctx, Space)
	if err != nil {
		return nil, "", err
	}
	defer v.Close()
	page, err := v.Query(ctx, record.Query{Kind: entries.Name, Where: f.expr(), Order: []record.Order{{Desc: true}}, After: record.Cursor(after), Limit: limit})
	if err != nil {
		return nil, "", err
	}
	out := make([]Entry, 0, len(page.Hits))
	for _, h := range page.Hits {
		e, err := entries.Decode(h.Body)
		if err != nil {
			return nil, "", err
		}
		out = append(out, *e)
	}
	return out, string(page.Next), nil
}

func (f *Filter) expr() record.Expr {
	var and record.And
	for index, v := range map[string]string{"id": f.ID, "name": f.Name, "source": f.Source, "principal": f.Principal, "key": f.AccessKeyID, "resource": f.Resource, "error": f.Error,
		"username": f.Username, "resourcetype": f.ResourceType} {
		if v != "" {
			and = append(and, record.Match{Index: index, Value: record.Token("", v)})
		}
	}
	if f.ReadOnly != nil {
		and = append(and, record.Match{Index: "readonly", Value: record.Token("", fmt.Sprint(*f.ReadOnly))})
	}
	if !f.Start.IsZero() || !f.End.IsZero() {
		r := record.Range{Index: "time"}
		if !f.Start.IsZero() {
			r.Low = record.Instant(f.Start)
		}
		if !f.End.IsZero() {
			r.High = record.Instant(f.End)
		}
		and = append(and, r)
	}
	return and
}
