package recordtest

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/record"
)

// bodies: what was written is read, byte for byte, of any size and in a batch of any size.
func bodies(t *testing.T, b Backend) {
	s := start(t, b)
	ctx := context.Background()
	rng := rand.New(rand.NewPCG(4, 4))
	noise := make([]byte, 3<<20)
	for i := range noise {
		noise[i] = byte(rng.Uint32())
	}
	want := map[string][]byte{"empty": {}, "zero": {0}, "noise": noise, "even": bytes.Repeat([]byte("abc"), 1<<20), "id\x00with\xffbytes": []byte("x")}
	for i := range 3000 {
		want[fmt.Sprint("n", i)] = noise[i : i+i%700]
	}
	none := []record.Entry{}
	_, err := s.Update(ctx, space, nil, func(tx record.Tx) error {
		for id, body := range want {
			if _, err := tx.Put(record.Put{Kind: subject, ID: id, Body: body, Entries: none, Expect: record.Absent}); err != nil {
				return err
			}
		}
		return nil
	})
	must(t, err)
	v := view(t, s)
	ids := []string{"nobody"}
	for id, body := range want {
		got, err := v.Get(subject, id)
		if err != nil || !bytes.Equal(got.Body, body) {
			t.Fatalf("%q: %d bytes, want %d; %v", id, len(got.Body), len(body), err)
		}
		ids = append(ids, id)
	}
	last := 0
	must(t, v.GetMany(subject, ids, func(i int, got *record.Version) error {
		if i <= last || got.ID != ids[i] || !bytes.Equal(got.Body, want[ids[i]]) {
			t.Errorf("place %d after %d: %q", i, last, got.ID)
		}
		last = i
		return nil
	}))
	if last != len(ids)-1 {
		t.Errorf("GetMany ended at %d of %d", last, len(ids)-1)
	}
	count, pid := 0, uint64(0)
	for got, err := range v.Scan(subject, 0) {
		must(t, err)
		if got.PID <= pid {
			t.Fatalf("pid %d follows %d", got.PID, pid)
		}
		pid = got.PID
		if count++; count == 100 {
			for again, err := range v.Scan(subject, pid) {
				must(t, err)
				if again.PID <= pid {
					t.Errorf("a scan after pid %d begins at %d", pid, again.PID)
				}
				break
			}
		}
	}
	if count != len(want) {
		t.Errorf("the scan has %d records, want %d", count, len(want))
	}
}

// refusals: what a caller may not do is an error and changes nothing.
func refusals(t *testing.T, b Backend) {
	s := start(t, b)
	for _, c := range []struct {
		put  record.Put
		want errs.Code
	}{
		{record.Put{Kind: "test.nobody", ID: "a"}, errs.Internal},
		{record.Put{Kind: subject, ID: ""}, errs.Invalid},
		{record.Put{Kind: subject, ID: string(bytes.Repeat([]byte("x"), 2049))}, errs.Invalid},
		{record.Put{Kind: subject, ID: "a", Entries: []record.Entry{{Index: "body"}}}, errs.Internal},
		{record.Put{Kind: subject, ID: "a", Entries: []record.Entry{{Index: "body", Value: record.TokenCode("x")}}}, errs.Internal},
	} {
		c.put.Expect = record.Any
		_, err := s.Update(context.Background(), space, nil, func(tx record.Tx) error { _, err := tx.Put(c.put); return err })
		wantCode(t, err, c.want, fmt.Sprintf("%+v", c.put))
	}
	_, err := s.View(context.Background(), "nowhere")
	wantCode(t, err, errs.NotFound, "a space that was never made")
	wantCode(t, s.CreateSpace(context.Background(), "", ref()), errs.Invalid, "a space without a name")
	wantCode(t, s.Declare(record.KindDef{Name: "test.x"}), errs.Invalid, "a kind without entries")
	v := view(t, s)
	for _, q := range []record.Query{{Kind: subject}, {Kind: subject, Limit: 10_001}, {Kind: subject, Limit: -1}} {
		_, err := v.Query(context.Background(), q)
		wantCode(t, err, errs.Invalid, fmt.Sprintf("%+v", q))
	}
	if n, err := v.Count(context.Background(), "test.nobody", nil); err != nil || n != 0 {
		t.Errorf("records of a kind that nobody wrote: %d, %v", n, err)
	}
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := v.Query(ended, record.Query{Kind: subject, Limit: 1}); err == nil {
		t.Error("a query went on after its context ended")
	}
	if _, err := s.Update(ended, space, nil, func(record.Tx) error { return nil }); err == nil {
		t.Error("a batch was made after its context ended")
	}
}
