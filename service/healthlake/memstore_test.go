package healthlake

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"iter"
	"sort"
	"strings"
	"sync"
	"time"

	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/key"
	"github.com/galen-health/galen/platform/record"
)

type mrec struct {
	pid      uint64
	versions []record.Version
	entries  []record.Entry
}
type mspace struct{ recs map[string]map[string]*mrec }
type memStore struct {
	mu     sync.Mutex
	kinds  map[string]record.KindDef
	spaces map[record.Space]*mspace
	seq    uint64
	pid    uint64
	out    []record.Message
	ch     chan struct{}
	last   time.Time
}

func newMem() *memStore {
	return &memStore{kinds: map[string]record.KindDef{}, spaces: map[record.Space]*mspace{}, ch: make(chan struct{}, 1)}
}
func (m *memStore) Declare(k ...record.KindDef) error {
	for _, d := range k {
		m.kinds[d.Name] = d
	}
	return nil
}
func (m *memStore) CreateSpace(_ context.Context, s record.Space, _ key.Ref) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.spaces[s] == nil {
		m.spaces[s] = &mspace{map[string]map[string]*mrec{}}
	}
	return nil
}
func (m *memStore) DropSpace(_ context.Context, s record.Space) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.spaces, s)
	return nil
}
func (m *memStore) Spaces(context.Context) (out []record.Space, _ error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for s := range m.spaces {
		out = append(out, s)
	}
	return out, nil
}

type mtx struct {
	m    *memStore
	s    *mspace
	sp   record.Space
	at   time.Time
	puts []record.Put
	vers []record.Version
	out  []record.Message
}

func (t *mtx) Time() time.Time { return t.at }
func (t *mtx) Get(kind, id string) (*record.Version, error) {
	for i := len(t.vers) - 1; i >= 0; i-- {
		if t.vers[i].Kind == kind && t.vers[i].ID == id {
			v := t.vers[i]
			if v.Deleted {
				return nil, errs.New(errs.Gone, "gone")
			}
			return &v, nil
		}
	}
	return mget(t.s, kind, id)
}
func mget(s *mspace, kind, id string) (*record.Version, error) {
	r := s.recs[kind][id]
	if r == nil {
		return nil, errs.New(errs.NotFound, "no record")
	}
	v := r.versions[len(r.versions)-1]
	if v.Deleted {
		return nil, errs.New(errs.Gone, "gone")
	}
	return &v, nil
}
func (t *mtx) Put(p record.Put) (int64, error) { return t.put(p, false) }
func (t *mtx) put(p record.Put, del bool) (int64, error) {
	n := int64(0)
	if r := t.s.recs[p.Kind][p.ID]; r != nil {
		n = r.versions[len(r.versions)-1].Version
	}
	cur, err := t.Get(p.Kind, p.ID)
	if err == nil {
		n = cur.Version
	}
	switch {
	case p.Expect == record.Absent && err == nil:
		return 0, errs.New(errs.Conflict, "exists")
	case p.Expect > 0 && (err != nil || cur.Version != int64(p.Expect)):
		return 0, errs.New(errs.Precondition, "other version")
	}
	if p.Entries == nil && !del {
		if p.Entries, err = t.m.kinds[p.Kind].Entries(p.ID, p.Body); err != nil {
			return 0, err
		}
	}
	t.puts = append(t.puts, p)
	t.vers = append(t.vers, record.Version{Kind: p.Kind, ID: p.ID, Version: n + 1, Time: t.at, Deleted: del, Body: bytes.Clone(p.Body)})
	return n + 1, nil
}
func (t *mtx) Delete(kind, id string, e record.Expect) (int64, error) {
	if _, err := t.Get(kind, id); err != nil {
		return 0, err
	}
	return t.put(record.Put{Kind: kind, ID: id, Expect: e}, true)
}
func (t *mtx) Purge(kind, id string) error { delete(t.s.recs[kind], id); return nil }
func (t *mtx) Query(q record.Query) (*record.Page, error) {
	return mquery(t.s, q)
}
func (t *mtx) Emit(topic string, body []byte) {
	t.out = append(t.out, record.Message{Topic: topic, Body: bytes.Clone(body), Time: t.at, Space: t.sp})
}

func (m *memStore) Update(_ context.Context, sp record.Space, _ []string, fn func(record.Tx) error) (record.Commit, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.spaces[sp]
	if s == nil {
		return record.Commit{}, errs.New(errs.NotFound, "no space %s", sp)
	}
	at := time.Now().UTC().Truncate(time.Microsecond)
	if !at.After(m.last) {
		at = m.last.Add(time.Microsecond)
	}
	m.last = at
	t := &mtx{m: m, s: s, sp: sp, at: at}
	if err := fn(t); err != nil {
		return record.Commit{}, err
	}
	m.seq++
	for i, p := range t.puts {
		v := t.vers[i]
		v.Commit = m.seq
		if s.recs[p.Kind] == nil {
			s.recs[p.Kind] = map[string]*mrec{}
		}
		r := s.recs[p.Kind][p.ID]
		if r == nil {
			m.pid++
			r = &mrec{pid: m.pid}
			s.recs[p.Kind][p.ID] = r
		}
		v.PID = r.pid
		r.versions = append(r.versions, v)
		r.entries = p.Entries
	}
	for _, o := range t.out {
		o.Seq = uint64(len(m.out) + 1)
		m.out = append(m.out, o)
	}
	if len(t.out) > 0 {
		select {
		case m.ch <- struct{}{}:
		default:
		}
	}
	return record.Commit{Seq: m.seq, Time: at}, nil
}
func (m *memStore) Outbox(_ context.Context, after uint64, limit int) ([]record.Message, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if after >= uint64(len(m.out)) {
		return nil, nil
	}
	o := m.out[after:]
	if len(o) > limit {
		o = o[:limit]
	}
	return append([]record.Message(nil), o...), nil
}
func (m *memStore) Trim(context.Context, uint64) error { return nil }
func (m *memStore) Changed() <-chan struct{}           { return m.ch }
func (m *memStore) Close() error                       { return nil }

type mview struct {
	m  *memStore
	s  *mspace
	at time.Time
}

func (m *memStore) View(_ context.Context, sp record.Space) (record.View, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.spaces[sp]
	if s == nil {
		return nil, errs.New(errs.NotFound, "no space")
	}
	c := &mspace{map[string]map[string]*mrec{}}
	for k, rs := range s.recs {
		c.recs[k] = map[string]*mrec{}
		for id, r := range rs {
			rr := *r
			c.recs[k][id] = &rr
		}
	}
	return &mview{m: m, s: c}, nil
}
func (m *memStore) ViewAt(ctx context.Context, sp record.Space, at time.Time) (record.View, error) {
	v, err := m.View(ctx, sp)
	if err == nil {
		v.(*mview).at = at
	}
	return v, err
}
func (v *mview) Close() {}
func (v *mview) Get(kind, id string) (*record.Version, error) {
	return mget(v.s, kind, id)
}
func (v *mview) GetMany(kind string, ids []string, fn func(int, *record.Version) error) error {
	for i, id := range ids {
		if ver, err := mget(v.s, kind, id); err == nil {
			if err := fn(i, ver); err != nil {
				return err
			}
		}
	}
	return nil
}
func (v *mview) GetVersion(kind, id string, n int64) (*record.Version, error) {
	r := v.s.recs[kind][id]
	if r != nil {
		for _, x := range r.versions {
			if x.Version == n {
				return &x, nil
			}
		}
	}
	return nil, errs.New(errs.NotFound, "no version")
}
func (v *mview) History(kind, id string, before uint64, since time.Time) iter.Seq2[*record.Version, error] {
	var all []record.Version
	for k, rs := range v.s.recs {
		for i, r := range rs {
			if (kind == "" || k == kind) && (id == "" || id == i) {
				all = append(all, r.versions...)
			}
		}
	}
	sort.Slice(all, func(i, j int) bool {
		if all[i].Commit != all[j].Commit {
			return all[i].Commit > all[j].Commit
		}
		return all[i].PID > all[j].PID
	})
	return func(yield func(*record.Version, error) bool) {
		for i := range all {
			if before > 0 && all[i].Commit >= before || !since.IsZero() && all[i].Time.Before(since) {
				continue
			}
			if !yield(&all[i], nil) {
				return
			}
		}
	}
}
func (v *mview) Scan(kind string, after uint64) iter.Seq2[*record.Version, error] {
	p, _ := mquery(v.s, record.Query{Kind: kind, Limit: 1 << 30})
	return func(yield func(*record.Version, error) bool) {
		for i := range p.Hits {
			if p.Hits[i].PID > after && !yield(&p.Hits[i], nil) {
				return
			}
		}
	}
}
func (v *mview) Query(_ context.Context, q record.Query) (*record.Page, error) { return mquery(v.s, q) }
func (v *mview) Count(_ context.Context, kind string, w record.Expr) (int64, error) {
	p, err := mquery(v.s, record.Query{Kind: kind, Where: w, Limit: 1 << 30})
	if err != nil {
		return 0, err
	}
	return int64(len(p.Hits)), nil
}

func mquery(s *mspace, q record.Query) (*record.Page, error) {
	type hit struct {
		r    *mrec
		v    record.Version
		keys string
	}
	var hits []hit
	for _, r := range s.recs[q.Kind] {
		v := r.versions[len(r.versions)-1]
		if v.Deleted || q.Where != nil && !meval(s, r, &v, q.Where) {
			continue
		}
		k := ""
		for _, o := range q.Order {
			val := ""
			if o.Index == "@time" {
				var b [8]byte
				binary.BigEndian.PutUint64(b[:], uint64(v.Time.UnixMicro()))
				val = string(b[:])
			}
			for _, e := range r.entries {
				if e.Index == o.Index && (val == "" || !o.Desc && string(e.Value) < val || o.Desc && string(e.Value) > val) {
					val = string(e.Value)
				}
			}
			if val == "" {
				k += "\xff"
				continue
			}
			b := []byte("\x01" + val + "\x00\x00")
			if o.Desc {
				for i := range b[1:] {
					b[i+1] ^= 0xff
				}
			}
			k += string(b)
		}
		var b [8]byte
		binary.BigEndian.PutUint64(b[:], r.pid)
		hits = append(hits, hit{r, v, k + string(b[:])})
	}
	sort.Slice(hits, func(i, j int) bool { return hits[i].keys < hits[j].keys })
	p := &record.Page{}
	for _, h := range hits {
		if q.After != "" && h.keys <= string(q.After) {
			continue
		}
		if len(p.Hits) == q.Limit {
			break
		}
		p.Hits = append(p.Hits, h.v)
		p.Next = record.Cursor(h.keys)
	}
	if len(hits) == 0 || p.Next == record.Cursor(hits[len(hits)-1].keys) {
		p.Next = ""
	}
	return p, nil
}

func unesc(s string) (string, string) {
	var b strings.Builder
	for i := 0; ; i++ {
		if s[i] == 0 {
			if s[i+1] == 1 {
				return b.String(), s[i+2:]
			}
			i++
			b.WriteByte(0)
			continue
		}
		b.WriteByte(s[i])
	}
}

func meval(s *mspace, r *mrec, v *record.Version, x record.Expr) bool {
	any := func(ix string, f func(string) bool) bool {
		for _, e := range r.entries {
			if e.Index == ix && f(string(e.Value)) {
				return true
			}
		}
		return false
	}
	switch x := x.(type) {
	case record.And:
		for _, y := range x {
			if !meval(s, r, v, y) {
				return false
			}
		}
		return true
	case record.Or:
		for _, y := range x {
			if meval(s, r, v, y) {
				return true
			}
		}
		return false
	case record.Not:
		return !meval(s, r, v, x.Expr)
	case record.Match:
		return any(x.Index, func(val string) bool {
			q := string(x.Value)
			switch q[0] {
			case 'c':
				c, _ := unesc(q[1:])
				vc, _ := unesc(val[1:])
				return c == vc
			case 'y':
				_, rest := unesc(q[1:])
				sys, _ := unesc(rest)
				_, rest = unesc(val[1:])
				vs, _ := unesc(rest)
				return sys == vs
			}
			return val == q
		})
	case record.Prefix:
		p, _ := unesc(string(x.Value)[1:])
		return any(x.Index, func(val string) bool { t, _ := unesc(val[1:]); return strings.HasPrefix(t, p) })
	case record.Contains:
		return any(x.Index, func(val string) bool { t, _ := unesc(val[1:]); return strings.Contains(t, x.Text) })
	case record.Range:
		return any(x.Index, func(val string) bool {
			if x.Head != "" {
				h, rest := unesc(val[1:])
				if h != string(x.Head) {
					return false
				}
				val = rest
			}
			lo, hi := string(x.Low), string(x.High)
			a := val
			if val[0] == 'p' {
				a = val[:9]
				if lo != "" {
					lo = lo[:9]
				}
				if hi != "" {
					hi = hi[:9]
				}
				end := val[9:]
				if x.EndLow != "" && end < string(x.EndLow)[9:] || x.EndHigh != "" && end > string(x.EndHigh)[9:] {
					return false
				}
			}
			if lo != "" && (a < lo || x.LowOpen && a == lo) || hi != "" && (a > hi || x.HighOpen && a == hi) {
				return false
			}
			return true
		})
	case record.Missing:
		return !any(x.Index, func(string) bool { return true })
	case record.IDs:
		for _, id := range x {
			if id == v.ID {
				return true
			}
		}
		return false
	case record.Join:
		return any(x.Index, func(val string) bool {
			id, rest := unesc(val[1:])
			kind, _ := unesc(rest)
			if kind != x.Kind {
				return false
			}
			o := s.recs[kind][id]
			if o == nil {
				return false
			}
			ov := o.versions[len(o.versions)-1]
			return !ov.Deleted && (x.Where == nil || meval(s, o, &ov, x.Where))
		})
	case record.JoinBack:
		want := record.Reference(v.Kind, v.ID)
		for _, o := range s.recs[x.Kind] {
			ov := o.versions[len(o.versions)-1]
			if ov.Deleted || x.Where != nil && !meval(s, o, &ov, x.Where) {
				continue
			}
			for _, e := range o.entries {
				if e.Index == x.Index && e.Value == want {
					return true
				}
			}
		}
		return false
	case record.TimeRange:
		t := v.Time.UnixMicro()
		return t >= x.Low && t <= x.High
	}
	panic(fmt.Sprintf("%T", x))
}
