package audit

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/transparency-dev/tessera"

	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/key"
	"github.com/galen-health/galen/platform/record"
)

// Space of the look-up index. It is derived: dropping it makes the next start read the log anew.
const Space record.Space = "audit.index.2"

// formerSpaces had a record an entry, and bundles without the resources that entries are about.
var formerSpaces = []record.Space{"audit", "audit.index"}

// bundleSize is how many entries the log keeps together in a file (C2SP tlog-tiles).
const bundleSize = 256

// A bundle is what a full bundle of entries can be found by: every value that any of them has. Which of them it is, the log itself tells.
type bundle struct {
	First, Last int64 // times of its entries, microseconds
	Values      map[string][]string
}

// sink takes the values that an entry has of an attribute.
type sink interface{ add(value string) }

// indexed are the attributes that bundles are found by.
var indexed = []struct {
	name   string
	values func(e *Entry, to sink)
}{
	{"id", func(e *Entry, to sink) { to.add(e.ID) }},
	{"name", func(e *Entry, to sink) { to.add(e.Name) }},
	{"source", func(e *Entry, to sink) { to.add(e.Source) }},
	{"principal", func(e *Entry, to sink) { to.add(e.Principal) }},
	{"key", func(e *Entry, to sink) { to.add(e.AccessKeyID) }},
	{"username", func(e *Entry, to sink) { to.add(e.Username()) }},
	{"error", func(e *Entry, to sink) { to.add(e.Error) }},
	{"readonly", func(e *Entry, to sink) { to.add(strconv.FormatBool(e.ReadOnly)) }},
	{"resource", func(e *Entry, to sink) {
		for _, r := range e.Resources {
			to.add(r)
		}
	}},
	{"entity", func(e *Entry, to sink) {
		if v := e.Entity(); v != "" {
			to.add(v)
		}
	}},
	{"resourcetype", func(e *Entry, to sink) {
		for _, r := range e.Resources {
			to.add(ResourceType(r))
		}
	}},
}

var bundles = record.Kind[bundle]{Name: "audit.bundle", Volatile: true, Indexes: func() (out record.Indexes[bundle]) {
	for _, i := range indexed {
		out = append(out, record.Index[bundle]{Name: i.name, Values: func(b *bundle) (values []record.Value) {
			for _, v := range b.Values[i.name] {
				values = append(values, record.Token("", v))
			}
			return values
		}})
	}
	return append(out, record.Index[bundle]{Name: "time", Values: func(b *bundle) []record.Value { return []record.Value{record.PeriodMicros(b.First, b.Last)} }})
}()}

// gathered is a bundle that is being made as its entries come.
type gathered struct {
	n           int // entries of it that came
	first, last int64
	seen        []values // as indexed
}

// values are those that an attribute has in a bundle.
type values struct {
	all  map[string]bool
	last string // that came: most entries say what the one before said
}

func (s *values) add(v string) {
	if v == "" || v == s.last {
		return
	}
	if !s.all[v] {
		v = strings.Clone(v) // alone, not with the request that it was a part of
		s.all[v] = true
		s.last = v
	}
}

func newGathered() *gathered {
	g := &gathered{first: math.MaxInt64, last: math.MinInt64, seen: make([]values, len(indexed))}
	for i := range g.seen {
		g.seen[i].all = map[string]bool{}
	}
	return g
}

func (g *gathered) add(e *Entry) {
	for i := range indexed {
		indexed[i].values(e, &g.seen[i])
	}
	at := e.Time.UnixMicro()
	g.first, g.last = min(g.first, at), max(g.last, at)
	g.n++
}

func (g *gathered) bundle() *bundle {
	b := &bundle{First: g.first, Last: g.last, Values: map[string][]string{}}
	for i := range indexed {
		if len(g.seen[i].all) > 0 {
			b.Values[indexed[i].name] = slices.Sorted(maps.Keys(g.seen[i].all))
		}
	}
	return b
}

// progress is how much of the log was seen.
type progress struct {
	Next uint64 `json:"next"` // bundles that are indexed
	Size uint64 `json:"size"` // entries that the log had
}

var progresses = record.Kind[progress]{Name: "audit.progress", Volatile: true}

type index struct {
	store  record.Store
	space  record.Space
	reader tessera.LogReader

	mu sync.Mutex
	progress
	fresh map[uint64]*gathered // of the entries that came since the start, by number, until they are indexed
}

// maxFresh bounds the bundles that are held ready for the index; it reads those that are not from the log.
const maxFresh = 2 * maxWaiting / bundleSize

// gather takes entries with the numbers from first on, as they are acknowledged.
func (x *index) gather(first uint64, batch []pending) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for i, p := range batch {
		at := first + uint64(i)
		g := x.fresh[at/bundleSize]
		if g == nil {
			if len(x.fresh) >= maxFresh {
				continue
			}
			g = newGathered()
			x.fresh[at/bundleSize] = g
		}
		g.add(p.entry)
	}
}

// whole is a full bundle, from memory when all its entries came since the start.
func (x *index) whole(ctx context.Context, n, size uint64) (*bundle, error) {
	x.mu.Lock()
	g := x.fresh[n]
	ready := g != nil && g.n == bundleSize // nothing is added to it any more
	x.mu.Unlock()
	if ready {
		return g.bundle(), nil
	}
	list, err := x.read(ctx, n, size)
	if err != nil {
		return nil, err
	}
	g = newGathered()
	for i := range list {
		g.add(&list[i])
	}
	return g.bundle(), nil
}

// Kinds are the kinds of records that are kept here; who moves records asks for them.
func Kinds() []record.KindDef {
	return []record.KindDef{bundles.Def(), progresses.Def()}
}

func openIndex(ctx context.Context, store record.Store, server string, reader tessera.LogReader, first uint64) (*index, error) {
	if err := store.Declare(Kinds()...); err != nil {
		return nil, err
	}
	of := func(space record.Space) record.Space {
		if server != "" {
			space += "/" + record.Space(server)
		}
		return space
	}
	space := of(Space)
	for _, s := range formerSpaces {
		if err := store.DropSpace(ctx, of(s)); err != nil {
			return nil, err
		}
	}
	if err := store.CreateSpace(ctx, space, key.Ref{}); err != nil {
		return nil, err
	}
	x := &index{store: store, space: space, reader: reader, fresh: map[uint64]*gathered{}}
	v, err := store.View(ctx, space)
	if err != nil {
		return nil, err
	}
	defer v.Close()
	p, _, err := progresses.Get(v, "log")
	if err != nil && !errs.Is(err, errs.NotFound) {
		return nil, err
	}
	if p != nil {
		x.progress = *p
	}
	x.Next = max(x.Next, first/bundleSize) // what retention dropped cannot be indexed
	size, err := reader.IntegratedSize(ctx)
	if err != nil {
		return nil, err
	}
	if size < x.Size {
		return nil, errs.New(errs.Corrupt, "the audit log has %d entries, but %d were there before: entries were cut off", size, x.Size)
	}
	return x, nil
}

// followEvery is how far the index may lag; look-ups read what it lacks from the log.
const followEvery = time.Second

// follow indexes what the log gains. It fails softly: the log itself is whole, only look-ups read more of it.
func (x *index) follow(ctx context.Context, log *slog.Logger) {
	told := false
	for ctx.Err() == nil {
		more, err := x.step(ctx)
		if err != nil && ctx.Err() == nil && !told {
			log.Error("the audit index lags behind the log", "error", errs.As(err).Message)
		}
		told = err != nil
		if more && err == nil {
			continue
		}
		select {
		case <-ctx.Done():
		case <-time.After(followEvery):
		}
	}
}

// step indexes the next full bundle, or remembers how long the log is.
func (x *index) step(ctx context.Context) (more bool, err error) {
	size, err := x.reader.IntegratedSize(ctx)
	if err != nil {
		return false, err
	}
	x.mu.Lock()
	now := x.progress
	x.mu.Unlock()
	if size == now.Size && (now.Next+1)*bundleSize > size {
		return false, nil
	}
	next := progress{Next: now.Next, Size: size}
	var b *bundle
	if (now.Next+1)*bundleSize <= size {
		if b, err = x.whole(ctx, now.Next, size); err != nil {
			return false, err
		}
		next.Next++
	}
	_, err = x.store.Update(ctx, x.space, nil, func(tx record.Tx) error {
		if b != nil {
			if err := bundles.Put(tx, fmt.Sprintf("%020d", now.Next), b); err != nil {
				return err
			}
		}
		return progresses.Put(tx, "log", &next)
	})
	if err != nil {
		return false, err
	}
	x.mu.Lock()
	x.progress = next
	if b != nil {
		delete(x.fresh, now.Next)
	}
	x.mu.Unlock()
	return (next.Next+1)*bundleSize <= size, nil
}

// read returns the entries of a bundle, of a log of this size.
func (x *index) read(ctx context.Context, n, size uint64) ([]Entry, error) {
	bodies, err := leaves(ctx, x.reader, n, size)
	if err != nil {
		return nil, err
	}
	list := make([]Entry, len(bodies))
	for i, b := range bodies {
		if err := json.Unmarshal(b, &list[i]); err != nil {
			return nil, errs.Wrap(errs.Corrupt, err, "entry %d of the audit log cannot be read", n*bundleSize+uint64(i))
		}
	}
	return list, nil
}
