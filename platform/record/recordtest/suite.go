package recordtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/key"
	"github.com/galen-health/galen/platform/record"
)

// Backend opens a store; Open again after Close opens the same data.
type Backend struct {
	Open func() record.Store
	Keys key.Ring
}

func ref() key.Ref { return key.Ref{} }

// open opens the store with the suite's kinds declared.
func (b Backend) open(t *testing.T) record.Store {
	t.Helper()
	s := b.Open()
	entries := func(_ string, body []byte) ([]record.Entry, error) {
		return []record.Entry{{Index: "body", Value: record.String(string(body))}}, nil
	}
	must(t, s.Declare(record.OnceKind.Def(), record.KindDef{Name: subject, Entries: entries}, record.KindDef{Name: finding, Entries: entries}, record.KindDef{Name: "test.lease", Entries: entries, Volatile: true},
		record.KindDef{Name: single, Entries: entries, Volatile: true, Single: []string{"body"}}))
	return s
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantCode(t *testing.T, err error, code errs.Code, what string) {
	t.Helper()
	if !errs.Is(err, code) {
		t.Errorf("%s: error = %v, want %v", what, err, code)
	}
}

// Suite is what every back end passes.
func Suite(t *testing.T, open func(t *testing.T) Backend) {
	for _, c := range []struct {
		name string
		run  func(*testing.T, Backend)
	}{
		{"versions", versions}, {"conditions", conditions}, {"atomic", atomic}, {"ownReads", ownReads}, {"locks", locks}, {"order", order}, {"history", history}, {"past", past},
		{"pages", pages}, {"outbox", outbox}, {"spaces", spaces}, {"reopen", reopen}, {"volatile", volatile}, {"purge", purge}, {"once", once}, {"concurrent", concurrent}, {"cancel", cancelled}, {"spans", spans}, {"churn", churn}, {"random", random},
	} {
		t.Run(c.name, func(t *testing.T) { c.run(t, open(t)) })
	}
}

const space = record.Space("suite")

// start opens the store with the suite's space.
func start(t *testing.T, b Backend) record.Store {
	t.Helper()
	s := b.open(t)
	t.Cleanup(func() { s.Close() })
	must(t, s.CreateSpace(context.Background(), space, ref()))
	return s
}

func put(t *testing.T, s record.Store, id, body string, expect record.Expect) (int64, error) {
	t.Helper()
	var version int64
	_, err := s.Update(context.Background(), space, nil, func(tx record.Tx) (err error) {
		version, err = tx.Put(record.Put{Kind: subject, ID: id, Body: []byte(body), Expect: expect})
		return err
	})
	return version, err
}

func view(t *testing.T, s record.Store) record.View {
	t.Helper()
	v, err := s.View(context.Background(), space)
	must(t, err)
	t.Cleanup(v.Close)
	return v
}

func versions(t *testing.T, b Backend) {
	s := start(t, b)
	for i, body := range []string{"one", "two", "three"} {
		n, err := put(t, s, "a", body, record.Any)
		must(t, err)
		if n != int64(i+1) {
			t.Errorf("version = %d, want %d", n, i+1)
		}
	}
	_, err := s.Update(context.Background(), space, nil, func(tx record.Tx) error {
		n, err := tx.Delete(subject, "a", record.Any)
		if n != 4 {
			t.Errorf("the tombstone is version %d, want 4", n)
		}
		return err
	})
	must(t, err)
	v := view(t, s)
	_, err = v.Get(subject, "a")
	wantCode(t, err, errs.Gone, "a deleted record")
	_, err = v.Get(subject, "b")
	wantCode(t, err, errs.NotFound, "an absent record")
	old, err := v.GetVersion(subject, "a", 2)
	must(t, err)
	if string(old.Body) != "two" || old.Deleted {
		t.Errorf("version 2 = %q", old.Body)
	}
	if tomb, err := v.GetVersion(subject, "a", 4); err != nil || !tomb.Deleted || tomb.Body != nil {
		t.Errorf("version 4 = %+v, %v: want a tombstone", tomb, err)
	}
	_, err = v.GetVersion(subject, "a", 5)
	wantCode(t, err, errs.NotFound, "a version that does not exist")
	if n, err := put(t, s, "a", "again", record.Absent); err != nil || n != 5 {
		t.Errorf("made again: version %d, %v; want 5", n, err)
	}
	if p, err := view(t, s).Query(context.Background(), record.Query{Kind: subject, Where: record.Match{Index: "body", Value: record.String("two")}, Limit: 5}); err != nil || len(p.Hits) != 0 {
		t.Errorf("an index still finds an old version: %v %v", p, err)
	}
}

func conditions(t *testing.T, b Backend) {
	s := start(t, b)
	_, err := put(t, s, "a", "x", 1)
	wantCode(t, err, errs.Precondition, "version 1 of nothing")
	_, err = put(t, s, "a", "x", record.Absent)
	must(t, err)
	_, err = put(t, s, "a", "y", record.Absent)
	wantCode(t, err, errs.Conflict, "a second creation")
	_, err = put(t, s, "a", "y", 2)
	wantCode(t, err, errs.Precondition, "the wrong version")
	_, err = put(t, s, "a", "y", 1)
	must(t, err)
	got, err := view(t, s).Get(subject, "a")
	must(t, err)
	if string(got.Body) != "y" || got.Version != 2 {
		t.Errorf("got %q version %d", got.Body, got.Version)
	}
	_, err = s.Update(context.Background(), space, nil, func(tx record.Tx) error { _, err := tx.Delete(subject, "none", record.Any); return err })
	wantCode(t, err, errs.NotFound, "deleting nothing")
}

func atomic(t *testing.T, b Backend) {
	s := start(t, b)
	boom := errors.New("boom")
	_, err := s.Update(context.Background(), space, nil, func(tx record.Tx) error {
		if _, err := tx.Put(record.Put{Kind: subject, ID: "a", Body: []byte("x"), Expect: record.Any}); err != nil {
			return err
		}
		tx.Emit("topic", []byte("never"))
		return boom
	})
	if !errors.Is(err, boom) {
		t.Errorf("error = %v, want the function's own", err)
	}
	_, err = view(t, s).Get(subject, "a")
	wantCode(t, err, errs.NotFound, "a record of a failed batch")
	if m, err := s.Outbox(context.Background(), 0, 10); err != nil || len(m) != 0 {
		t.Errorf("the outbox has %d messages of a failed batch, %v", len(m), err)
	}
	_, err = s.Update(context.Background(), space, nil, func(tx record.Tx) error {
		if _, err := tx.Put(record.Put{Kind: subject, ID: "b", Body: []byte("x"), Expect: record.Any}); err != nil {
			return err
		}
		_, err := tx.Put(record.Put{Kind: subject, ID: "c", Body: []byte("x"), Expect: 7})
		return err
	})
	wantCode(t, err, errs.Precondition, "a batch with one bad condition")
	_, err = view(t, s).Get(subject, "b")
	wantCode(t, err, errs.NotFound, "its other record")
}

func ownReads(t *testing.T, b Backend) {
	s := start(t, b)
	_, err := put(t, s, "a", "old", record.Any)
	must(t, err)
	_, err = s.Update(context.Background(), space, nil, func(tx record.Tx) error {
		if _, err := tx.Put(record.Put{Kind: subject, ID: "a", Body: []byte("new"), Expect: 1}); err != nil {
			return err
		}
		got, err := tx.Get(subject, "a")
		if err != nil || string(got.Body) != "new" || got.Version != 2 {
			t.Errorf("own read = %+v, %v", got, err)
		}
		if n, err := tx.Put(record.Put{Kind: subject, ID: "a", Body: []byte("newer"), Expect: 2}); err != nil || n != 3 {
			t.Errorf("second write in one batch: version %d, %v", n, err)
		}
		if _, err := tx.Delete(subject, "a", 3); err != nil {
			return err
		}
		_, err = tx.Get(subject, "a")
		wantCode(t, err, errs.Gone, "own deletion")
		return nil
	})
	must(t, err)
	v := view(t, s)
	for n, want := range map[int64]string{1: "old", 2: "new", 3: "newer"} {
		if got, err := v.GetVersion(subject, "a", n); err != nil || string(got.Body) != want {
			t.Errorf("version %d = %v, %v; want %q", n, got, err, want)
		}
	}
}

// locks: updates that share a name run one after the other; a read-then-write under a lock loses nothing.
func locks(t *testing.T, b Backend) {
	s := start(t, b)
	_, err := put(t, s, "n", "", record.Any)
	must(t, err)
	var wg sync.WaitGroup
	for range 8 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for range 20 {
				_, err := s.Update(context.Background(), space, []string{"b", "a"}, func(tx record.Tx) error {
					old, err := tx.Get(subject, "n")
					if err != nil {
						return err
					}
					p, err := tx.Query(record.Query{Kind: subject, Where: record.Match{Index: "body", Value: record.String(string(old.Body))}, Limit: 1})
					if err != nil || len(p.Hits) != 1 {
						return fmt.Errorf("the index lags behind: %v %w", p, err)
					}
					_, err = tx.Put(record.Put{Kind: subject, ID: "n", Body: append(old.Body, '.'), Expect: record.Any})
					return err
				})
				if err != nil {
					t.Error(err)
				}
			}
		}()
	}
	wg.Wait()
	if got, err := view(t, s).Get(subject, "n"); err != nil || len(got.Body) != 160 {
		t.Errorf("%d of 160 changes arrived, %v", len(got.Body), err)
	}
}

// order: sequence and time rise together.
func order(t *testing.T, b Backend) {
	s := start(t, b)
	var mu sync.Mutex
	var commits []record.Commit
	var wg sync.WaitGroup
	for w := range 6 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for i := range 15 {
				c, err := s.Update(context.Background(), space, nil, func(tx record.Tx) error {
					_, err := tx.Put(record.Put{Kind: subject, ID: fmt.Sprintf("%d-%d", w, i), Body: []byte("x"), Expect: record.Any})
					return err
				})
				if err != nil {
					t.Error(err)
				}
				mu.Lock()
				commits = append(commits, c)
				mu.Unlock()
			}
		}()
	}
	wg.Wait()
	slices.SortFunc(commits, func(a, b record.Commit) int { return int(a.Seq) - int(b.Seq) })
	for i := 1; i < len(commits); i++ {
		if commits[i].Seq == commits[i-1].Seq || !commits[i].Time.After(commits[i-1].Time) {
			t.Fatalf("commit %d at %v follows commit %d at %v", commits[i].Seq, commits[i].Time, commits[i-1].Seq, commits[i-1].Time)
		}
	}
}

func history(t *testing.T, b Backend) {
	s := start(t, b)
	for _, w := range []string{"a1", "b1", "a2", "c1", "a3"} {
		_, err := put(t, s, w[:1], w, record.Any)
		must(t, err)
	}
	_, err := s.Update(context.Background(), space, nil, func(tx record.Tx) error {
		if _, err := tx.Put(record.Put{Kind: finding, ID: "f", Body: []byte("f1"), Expect: record.Any}); err != nil {
			return err
		}
		_, err := tx.Delete(subject, "b", record.Any)
		return err
	})
	must(t, err)
	v := view(t, s)
	read := func(kind, id string, before uint64, since time.Time) (out []string, last uint64) {
		for ver, err := range v.History(kind, id, before, since) {
			must(t, err)
			body := string(ver.Body)
			if ver.Deleted {
				body = "-" + ver.ID
			}
			out, last = append(out, body), ver.Commit
		}
		return out, last
	}
	if got, _ := read(subject, "a", 0, time.Time{}); !slices.Equal(got, []string{"a3", "a2", "a1"}) {
		t.Errorf("history of a = %v", got)
	}
	all, _ := read(subject, "", 0, time.Time{})
	if !slices.Equal(all, []string{"-b", "a3", "c1", "a2", "b1", "a1"}) {
		t.Errorf("history of the kind = %v", all)
	}
	if got, _ := read("", "", 0, time.Time{}); len(got) != 7 || !slices.Contains(got, "f1") {
		t.Errorf("history of the space = %v", got)
	}
	mid, err := v.GetVersion(subject, "a", 2)
	must(t, err)
	if got, _ := read(subject, "", mid.Commit, time.Time{}); !slices.Equal(got, []string{"b1", "a1"}) {
		t.Errorf("before commit %d: %v", mid.Commit, got)
	}
	if got, _ := read(subject, "", 0, mid.Time); !slices.Equal(got, []string{"-b", "a3", "c1", "a2"}) {
		t.Errorf("since %v: %v", mid.Time, got)
	}
}

func past(t *testing.T, b Backend) {
	s := start(t, b)
	ctx := context.Background()
	_, err := put(t, s, "a", "a1", record.Any)
	must(t, err)
	c, err := s.Update(ctx, space, nil, func(tx record.Tx) error {
		_, err := tx.Put(record.Put{Kind: subject, ID: "b", Body: []byte("b1"), Expect: record.Any})
		return err
	})
	must(t, err)
	_, err = put(t, s, "a", "a2", record.Any)
	must(t, err)
	_, err = put(t, s, "c", "c1", record.Any)
	must(t, err)
	_, err = s.Update(ctx, space, nil, func(tx record.Tx) error { _, err := tx.Delete(subject, "b", record.Any); return err })
	must(t, err)
	v, err := s.ViewAt(ctx, space, c.Time)
	must(t, err)
	defer v.Close()
	for id, want := range map[string]string{"a": "a1", "b": "b1"} {
		if got, err := v.Get(subject, id); err != nil || string(got.Body) != want {
			t.Errorf("%s as of the second commit = %v, %v; want %s", id, got, err, want)
		}
	}
	_, err = v.Get(subject, "c")
	wantCode(t, err, errs.NotFound, "a record of the future")
	var bodies []string
	for ver, err := range v.Scan(subject, 0) {
		must(t, err)
		bodies = append(bodies, string(ver.Body))
	}
	if !slices.Equal(bodies, []string{"a1", "b1"}) {
		t.Errorf("scan of the past = %v", bodies)
	}
	_, err = v.Query(ctx, record.Query{Kind: subject, Limit: 1})
	wantCode(t, err, errs.Unsupported, "a query of the past")
}

// pages stay stable: what is there from the first page to the last is seen exactly once, whatever is written meanwhile.
func pages(t *testing.T, b Backend) {
	s := start(t, b)
	ctx := context.Background()
	for i := range 60 {
		_, err := put(t, s, fmt.Sprintf("r%02d", i), fmt.Sprint("v", i%7), record.Any)
		must(t, err)
	}
	for _, orders := range [][]record.Order{nil, {{Index: "", Desc: true}}} {
		seen := map[string]int{}
		q := record.Query{Kind: subject, Order: orders, Limit: 7}
		for n := 0; ; n++ {
			v, err := s.View(ctx, space)
			must(t, err)
			p, err := v.Query(ctx, q)
			v.Close()
			must(t, err)
			for _, h := range p.Hits {
				seen[h.ID]++
			}
			if p.Next == "" {
				break
			}
			q.After = p.Next
			_, err = put(t, s, fmt.Sprintf("r%02d", (n*13)%60), "changed", record.Any)
			must(t, err)
			_, err = put(t, s, fmt.Sprintf("new-%v-%d", orders == nil, n), "x", record.Any)
			must(t, err)
		}
		for i := range 60 {
			if id := fmt.Sprintf("r%02d", i); seen[id] != 1 {
				t.Errorf("order %v: %s was seen %d times", orders, id, seen[id])
			}
		}
	}
	v := view(t, s)
	for _, bad := range []record.Cursor{"!", "AAAA", "x"} {
		_, err := v.Query(ctx, record.Query{Kind: subject, Limit: 1, After: bad})
		wantCode(t, err, errs.Invalid, "a foreign page token")
	}
	_, err := v.Query(ctx, record.Query{Kind: subject})
	wantCode(t, err, errs.Invalid, "a page of nothing")
	if p, err := v.Query(ctx, record.Query{Kind: subject, Limit: 2, IDsOnly: true}); err != nil || len(p.Hits) != 2 || p.Hits[0].Body != nil {
		t.Errorf("ids only: %+v, %v", p, err)
	}
}

func outbox(t *testing.T, b Backend) {
	s := start(t, b)
	ctx := context.Background()
	for i := range 5 {
		_, err := s.Update(ctx, space, nil, func(tx record.Tx) error {
			tx.Emit("one", []byte{byte(i), 1})
			tx.Emit("two", []byte{byte(i), 2})
			return nil
		})
		must(t, err)
	}
	select {
	case <-s.Changed():
	default:
		t.Error("nobody was told of the messages")
	}
	all, err := s.Outbox(ctx, 0, 100)
	must(t, err)
	if len(all) != 10 {
		t.Fatalf("%d messages, want 10", len(all))
	}
	for i, m := range all {
		if m.Body[0] != byte(i/2) || m.Topic != []string{"one", "two"}[i%2] || m.Space != space || i > 0 && m.Seq <= all[i-1].Seq {
			t.Errorf("message %d = %+v", i, m)
		}
	}
	if rest, err := s.Outbox(ctx, all[3].Seq, 2); err != nil || len(rest) != 2 || rest[0].Seq != all[4].Seq {
		t.Errorf("after the fourth: %v, %v", rest, err)
	}
	must(t, s.Trim(ctx, all[7].Seq))
	if rest, err := s.Outbox(ctx, 0, 100); err != nil || len(rest) != 2 {
		t.Errorf("after trimming: %v, %v", rest, err)
	}
}

func spaces(t *testing.T, b Backend) {
	s := start(t, b)
	ctx := context.Background()
	must(t, s.CreateSpace(ctx, "other", ref()))
	must(t, s.CreateSpace(ctx, "other", ref()))
	_, err := put(t, s, "a", "here", record.Any)
	must(t, err)
	v, err := s.View(ctx, "other")
	must(t, err)
	_, err = v.Get(subject, "a")
	wantCode(t, err, errs.NotFound, "a record of another space")
	v.Close()
	must(t, s.DropSpace(ctx, space))
	_, err = s.View(ctx, space)
	wantCode(t, err, errs.NotFound, "a dropped space")
	_, err = s.Update(ctx, space, nil, func(record.Tx) error { return nil })
	wantCode(t, err, errs.NotFound, "a write into a dropped space")
	must(t, s.CreateSpace(ctx, space, ref()))
	if p, err := view(t, s).Query(ctx, record.Query{Kind: subject, Limit: 5}); err != nil || len(p.Hits) != 0 {
		t.Errorf("a space made again is not empty: %v, %v", p, err)
	}
	if n, err := put(t, s, "a", "x", record.Any); err != nil || n != 1 {
		t.Errorf("its first version is %d, %v", n, err)
	}
	if names, err := s.Spaces(ctx); err != nil || !slices.Contains(names, "other") {
		t.Errorf("spaces = %v, %v", names, err)
	}
}

func reopen(t *testing.T, b Backend) {
	s := b.open(t)
	ctx := context.Background()
	must(t, s.CreateSpace(ctx, space, ref()))
	c1, err := s.Update(ctx, space, nil, func(tx record.Tx) error {
		tx.Emit("t", []byte("kept"))
		_, err := tx.Put(record.Put{Kind: subject, ID: "a", Body: []byte("kept"), Expect: record.Any})
		return err
	})
	must(t, err)
	must(t, s.Close())
	s = b.open(t)
	defer s.Close()
	v, err := s.View(ctx, space)
	must(t, err)
	got, err := v.Get(subject, "a")
	v.Close()
	if err != nil || string(got.Body) != "kept" || got.Commit != c1.Seq || !got.Time.Equal(c1.Time) {
		t.Errorf("after reopening: %+v, %v", got, err)
	}
	if m, err := s.Outbox(ctx, 0, 5); err != nil || len(m) != 1 {
		t.Errorf("the outbox after reopening: %v, %v", m, err)
	}
	c2, err := s.Update(ctx, space, nil, func(tx record.Tx) error {
		_, err := tx.Put(record.Put{Kind: subject, ID: "b", Body: []byte("x"), Expect: record.Any})
		return err
	})
	if err != nil || c2.Seq <= c1.Seq || !c2.Time.After(c1.Time) {
		t.Errorf("commit %+v follows %+v, %v", c2, c1, err)
	}
}

func volatile(t *testing.T, b Backend) {
	s := start(t, b)
	for i := range 4 {
		_, err := s.Update(context.Background(), space, nil, func(tx record.Tx) error {
			_, err := tx.Put(record.Put{Kind: "test.lease", ID: "l", Body: []byte{byte(i)}, Expect: record.Any})
			return err
		})
		must(t, err)
	}
	v := view(t, s)
	if got, err := v.Get("test.lease", "l"); err != nil || got.Body[0] != 3 || got.Version != 4 {
		t.Errorf("newest = %+v, %v", got, err)
	}
	_, err := v.GetVersion("test.lease", "l", 2)
	wantCode(t, err, errs.NotFound, "an old version of a volatile kind")
}

func purge(t *testing.T, b Backend) {
	s := start(t, b)
	for _, body := range []string{"a1", "a2"} {
		_, err := put(t, s, "a", body, record.Any)
		must(t, err)
	}
	_, err := put(t, s, "b", "b1", record.Any)
	must(t, err)
	_, err = s.Update(context.Background(), space, nil, func(tx record.Tx) error { return tx.Purge(subject, "a") })
	must(t, err)
	v := view(t, s)
	_, err = v.Get(subject, "a")
	wantCode(t, err, errs.NotFound, "a purged record")
	_, err = v.GetVersion(subject, "a", 1)
	wantCode(t, err, errs.NotFound, "a purged version")
	n := 0
	for ver, err := range v.History(subject, "", 0, time.Time{}) {
		must(t, err)
		n++
		if ver.ID != "b" {
			t.Errorf("the history still has %s", ver.ID)
		}
	}
	if n != 1 {
		t.Errorf("history has %d versions, want 1", n)
	}
	if got, err := put(t, s, "a", "new", record.Absent); err != nil || got != 1 {
		t.Errorf("made again: version %d, %v", got, err)
	}
}

func once(t *testing.T, b Backend) {
	s := start(t, b)
	type in struct{ Name string }
	type out struct{ ID int }
	runs := 0
	call := func(token string, i in) (*out, error) {
		return record.Once(context.Background(), s, space, token, i, func(tx record.Tx) (*out, error) {
			runs++
			_, err := tx.Put(record.Put{Kind: subject, ID: fmt.Sprintf("%s-%s", token, i.Name), Body: []byte("x"), Expect: record.Any})
			return &out{ID: runs}, err
		})
	}
	first, err := call("t1", in{"a"})
	must(t, err)
	second, err := call("t1", in{"a"})
	must(t, err)
	if runs != 1 || *first != *second {
		t.Errorf("the same token ran %d times: %v, %v", runs, first, second)
	}
	_, err = call("t1", in{"b"})
	wantCode(t, err, errs.Conflict, "the same token with another input")
	_, err = call("", in{"b"})
	must(t, err)
	_, err = call("", in{"b"})
	must(t, err)
	if runs != 3 {
		t.Errorf("without a token it ran %d times, want 3 in all", runs)
	}
}

// concurrent: conditional creation has one winner; unconditional writes lose nothing of the version count.
func concurrent(t *testing.T, b Backend) {
	s := start(t, b)
	var wg sync.WaitGroup
	var mu sync.Mutex
	wins := 0
	for range 16 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			_, err := put(t, s, "one", "x", record.Absent)
			if err == nil {
				mu.Lock()
				wins++
				mu.Unlock()
			} else if !errs.Is(err, errs.Conflict) {
				t.Error(err)
			}
			if _, err := put(t, s, "many", "x", record.Any); err != nil {
				t.Error(err)
			}
		}()
	}
	wg.Wait()
	if wins != 1 {
		t.Errorf("%d creations of one record won", wins)
	}
	if got, err := view(t, s).Get(subject, "many"); err != nil || got.Version != 16 {
		t.Errorf("16 writes made version %d, %v", got.Version, err)
	}
}

func cancelled(t *testing.T, b Backend) {
	s := start(t, b)
	_, err := put(t, s, "a", string(bytes.Repeat([]byte("x"), 1000)), record.Any)
	must(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	entered, release := make(chan struct{}), make(chan struct{})
	go s.Update(context.Background(), space, []string{"l"}, func(record.Tx) error { close(entered); <-release; return nil })
	<-entered
	done := make(chan error)
	go func() {
		_, err := s.Update(ctx, space, []string{"l"}, func(record.Tx) error { return nil })
		done <- err
	}()
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("waiting for a lock after cancelling: %v", err)
	}
	close(release)
}
