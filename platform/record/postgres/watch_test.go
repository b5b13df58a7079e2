package postgres_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/record/postgres"
	"github.com/galen-health/galen/platform/record/postgres/pgtest"
)

// within fails the test when fn does not end: far later than any call may take here.
func within(t *testing.T, what string, fn func() error) error {
	t.Helper()
	ended := make(chan error, 1)
	go func() { ended <- fn() }()
	select {
	case err := <-ended:
		return err
	case <-time.After(90 * time.Second):
		t.Fatalf("%s: no answer after 90 s", what)
		return nil
	}
}

// A server that hangs: what waits for it ends with an error that says so, whether it had begun or begins now; nothing is half there; when the server goes on, so
// does everything.
func TestServerHangs(t *testing.T) {
	server := pgtest.Shared(t)
	p := pgtest.NewProxy(t, server)
	s := open(t, p.URL(server.Database(t)), ring(t, t.TempDir()), postgres.Options{Patience: 500 * time.Millisecond, Watch: 100 * time.Millisecond, Settle: 2 * time.Second})
	acked, tried := map[string]bool{}, map[string]bool{}
	put := func(id string) error {
		tried[id] = true
		err := count(s, id)
		if err == nil {
			acked[id] = true
		}
		return err
	}
	if err := put("before"); err != nil {
		t.Fatal(err)
	}
	for round := range 2 {
		v, err := s.View(ctx, workSpace)
		if err != nil {
			t.Fatal(err)
		}
		p.Stall.Store(true)
		if err := within(t, "a view that was open", func() error { _, err := v.Count(ctx, steps.Name, nil); return err }); !errs.Is(err, errs.Unavailable) {
			t.Errorf("a view that was open: %v", err)
		}
		_ = within(t, "the end of a view", func() error { v.Close(); return nil })
		if err := within(t, "a view", func() error { _, err := s.View(ctx, workSpace); return err }); !errs.Is(err, errs.Unavailable) {
			t.Errorf("a view of a server that hangs: %v", err)
		}
		if err := within(t, "a batch", func() error { return put(fmt.Sprint("hangs", round)) }); !errs.Is(err, errs.Unavailable) {
			t.Errorf("a batch on a server that hangs: %v", err)
		}
		if err := within(t, "the outbox", func() error { _, err := s.Outbox(ctx, 0, 1); return err }); !errs.Is(err, errs.Unavailable) {
			t.Errorf("the outbox of a server that hangs: %v", err)
		}
		p.Stall.Store(false)
		id := fmt.Sprint("after", round)
		for range 100 {
			if err = within(t, "a batch", func() error { return put(id) }); err == nil {
				break
			}
		}
		if err != nil {
			t.Fatalf("the server is back, and: %v", err)
		}
	}
	counted(t, s, acked)
	if faults := faultsOf(t, s); len(faults) > 0 {
		t.Error(faults)
	}
}

// A batch that is under way when the server begins to hang is made whole or not at all, and its answer is not a guess.
func TestServerHangsInABatch(t *testing.T) {
	server := pgtest.Shared(t)
	p := pgtest.NewProxy(t, server)
	s := open(t, p.URL(server.Database(t)), ring(t, t.TempDir()), postgres.Options{Patience: time.Second, Watch: 100 * time.Millisecond, Settle: 20 * time.Second})
	acked, refused := map[string]bool{}, 0
	type answer struct {
		id  string
		err error
	}
	answers := make(chan answer, 75)
	for w := range 3 {
		go func() {
			for n := range 25 {
				id := fmt.Sprintf("%d-%d", w, n)
				answers <- answer{id, count(s, id)}
			}
		}()
	}
	stop, ended := make(chan struct{}), make(chan struct{})
	go func() { // hangs again and again, shorter and longer than anybody waits
		defer close(ended)
		for n := 0; ; n++ {
			select {
			case <-stop:
				return
			case <-time.After(60 * time.Millisecond):
			}
			p.Stall.Store(true)
			time.Sleep([]time.Duration{30, 200, 1500}[n%3] * time.Millisecond)
			p.Stall.Store(false)
		}
	}()
	for range 75 {
		var a answer
		_ = within(t, "a batch", func() error { a = <-answers; return nil })
		switch {
		case a.err == nil:
			acked[a.id] = true
		case errs.Is(a.err, errs.Unavailable):
			refused++
		default:
			t.Errorf("%s: %v", a.id, a.err)
		}
	}
	close(stop)
	<-ended
	n := counted(t, s, acked)
	if faults := faultsOf(t, s); len(faults) > 0 {
		t.Error(faults)
	}
	t.Logf("%d batches acknowledged, %d refused, %d made; 0 lost, 0 twice", len(acked), refused, n)
}

// A slow server is only slow: what takes longer than the watch waits for is not cut.
func TestServerIsSlow(t *testing.T) {
	server := pgtest.Shared(t)
	p := pgtest.NewProxy(t, server)
	s := open(t, p.URL(server.Database(t)), ring(t, t.TempDir()), postgres.Options{Patience: 10 * time.Second, Watch: 10 * time.Millisecond})
	p.Delay.Store(int64(20 * time.Millisecond))
	acked := map[string]bool{}
	for n := range 5 {
		id := fmt.Sprint("slow", n)
		if err := count(s, id); err != nil {
			t.Fatal(err)
		}
		acked[id] = true
	}
	if n := counted(t, s, acked); n != 5 {
		t.Errorf("%d batches, want 5", n)
	}
}
