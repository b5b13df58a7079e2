package audit

import (
	"context"
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/record"
)

// maxBundles bounds how many bundles one page of a look-up reads. A page that meets the bound may be short, and goes on with its next token.
const maxBundles = 400

// Lookup finds entries, newest first. It sees every entry whose Append returned before. after is where the page before ended; a page may be short, even
// empty, while next is not "".
func (m *Merkle) Lookup(ctx context.Context, f Filter, after string, limit int) (found []Entry, next string, err error) {
	if m.index == nil {
		return nil, "", errs.New(errs.Unsupported, "this audit log has no look-up index")
	}
	if err := m.settle(ctx); err != nil {
		return nil, "", err
	}
	size, err := m.reader.IntegratedSize(ctx)
	if err != nil {
		return nil, "", err
	}
	from := size // entries below it are looked at
	if after != "" {
		if from, err = strconv.ParseUint(after, 10, 64); err != nil || from > size {
			return nil, "", errs.New(errs.Invalid, "the page token is not one of this look-up")
		}
	}
	c := candidates{x: m.index, f: &f}
	for read := 0; from > 0; read++ {
		if read == maxBundles {
			return found, strconv.FormatUint(from, 10), nil
		}
		n, more, err := c.before(ctx, from)
		if err != nil || !more || n*bundleSize < m.First() {
			return found, "", err
		}
		list, err := m.index.read(ctx, n, size)
		if err != nil {
			return nil, "", err
		}
		for i := min(from-n*bundleSize, uint64(len(list))); i > 0; i-- {
			if !f.matches(&list[i-1]) {
				continue
			}
			if len(found) == limit {
				return found, strconv.FormatUint(n*bundleSize+i, 10), nil
			}
			found = append(found, list[i-1])
		}
		from = n * bundleSize
	}
	return found, "", nil
}

// candidates names the bundles that may hold what a filter asks for, newest first.
type candidates struct {
	x    *index
	f    *Filter
	page []uint64 // descending, already looked up
	next record.Cursor
	end  bool
}

// before is the newest such bundle with entries below from.
func (c *candidates) before(ctx context.Context, from uint64) (n uint64, more bool, err error) {
	last := (from - 1) / bundleSize
	c.x.mu.Lock()
	indexed := c.x.Next
	c.x.mu.Unlock()
	if last >= indexed { // the newest ones are not indexed yet: all may hold it
		return last, true, nil
	}
	for {
		for len(c.page) > 0 {
			n, c.page = c.page[0], c.page[1:]
			if n <= last {
				return n, true, nil
			}
		}
		if c.end {
			return 0, false, nil
		}
		if err := c.more(ctx); err != nil {
			return 0, false, err
		}
	}
}

func (c *candidates) more(ctx context.Context) error {
	v, err := c.x.store.View(ctx, c.x.space)
	if err != nil {
		return err
	}
	defer v.Close()
	p, err := v.Query(ctx, record.Query{Kind: bundles.Name, Where: c.f.expr(), Order: []record.Order{{Desc: true}}, After: c.next, Limit: 200, IDsOnly: true})
	if err != nil {
		return err
	}
	for _, h := range p.Hits {
		n, err := strconv.ParseUint(h.ID, 10, 64)
		if err != nil {
			return errs.Wrap(errs.Corrupt, err, "a record of the audit index has a name that is no number")
		}
		c.page = append(c.page, n)
	}
	c.next, c.end = p.Next, p.Next == ""
	return nil
}

// wants are the attributes that a filter asks for.
func (f *Filter) wants() map[string]string {
	all := map[string]string{"id": f.ID, "name": f.Name, "source": f.Source, "principal": f.Principal, "key": f.AccessKeyID, "resource": f.Resource, "error": f.Error,
		"username": f.Username, "resourcetype": f.ResourceType, "entity": f.Entity}
	if f.ReadOnly != nil {
		all["readonly"] = fmt.Sprint(*f.ReadOnly)
	}
	return all
}

// expr finds the bundles that may hold matching entries.
func (f *Filter) expr() record.Expr {
	var and record.And
	for index, v := range f.wants() {
		if v != "" {
			and = append(and, record.Match{Index: index, Value: record.Token("", v)})
		}
	}
	if !f.Start.IsZero() || !f.End.IsZero() {
		r := record.Range{Index: "time"} // overlaps
		if !f.End.IsZero() {
			r.High = record.PeriodMicros(f.End.UnixMicro(), math.MaxInt64)
		}
		if !f.Start.IsZero() {
			r.EndLow = record.Instant(f.Start)
		}
		and = append(and, r)
	}
	return and
}

// wanted is a value that may come.
type wanted struct {
	value string
	came  bool
}

func (w *wanted) add(v string) { w.came = w.came || v == w.value }

// matches decides on one entry; both ends of the time are included.
func (f *Filter) matches(e *Entry) bool {
	wants := f.wants()
	for _, i := range indexed {
		w := wanted{value: wants[i.name]}
		if w.value == "" {
			continue
		}
		if i.values(e, &w); !w.came {
			return false
		}
	}
	if f.Where != nil && !f.Where(e) {
		return false
	}
	at := e.Time.Truncate(time.Microsecond)
	return (f.Start.IsZero() || !at.Before(f.Start.Truncate(time.Microsecond))) && (f.End.IsZero() || !at.After(f.End.Truncate(time.Microsecond)))
}
