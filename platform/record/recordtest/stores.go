package recordtest

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/record"
)

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
