package postgres_test

import (
	"fmt"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/key"
	"github.com/galen-health/galen/platform/record"
	"github.com/galen-health/galen/platform/record/postgres"
	"github.com/galen-health/galen/platform/record/postgres/pgtest"
)

type step struct{ Text string }

var steps = record.Kind[step]{Name: "test.step", Indexes: record.Indexes[step]{record.ByString("text", func(s *step) string { return s.Text })}}

const workSpace record.Space = "work"

func open(t testing.TB, url string, keys key.Ring, opts postgres.Options) *postgres.Store {
	t.Helper()
	s, err := postgres.Open(ctx, url, keys, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := s.Declare(record.OnceKind.Def(), steps.Def()); err != nil {
		t.Fatal(err)
	}
	if err := s.CreateSpace(ctx, workSpace, key.Ref{}); err != nil {
		t.Fatal(err)
	}
	return s
}

// count makes a batch that counts one up, makes a record of its own and tells it.
func count(s record.Store, id string) error {
	_, err := s.Update(ctx, workSpace, []string{"counter"}, func(tx record.Tx) error {
		n := 0
		old, _, err := steps.Get(tx, "counter")
		if err == nil {
			n, err = strconv.Atoi(old.Text)
		}
		if err != nil && !errs.Is(err, errs.NotFound) {
			return err
		}
		if err := steps.Put(tx, "counter", &step{fmt.Sprint(n + 1)}); err != nil {
			return err
		}
		tx.Emit("counted", []byte(id))
		return steps.Create(tx, id, &step{tx.Time().Format(time.RFC3339Nano)})
	})
	return err
}

// counted compares what count has done with what it should have: every acknowledged batch once, and nothing twice.
func counted(t *testing.T, s record.Store, acked map[string]bool) (total int) {
	t.Helper()
	v, err := s.View(ctx, workSpace)
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	there := map[string]bool{}
	for x, err := range v.Scan(steps.Name, 0) {
		if err != nil {
			t.Fatal(err)
		}
		if x.ID != "counter" {
			there[x.ID] = true
			if x.Version != 1 {
				t.Errorf("%s has version %d", x.ID, x.Version)
			}
		}
	}
	for id := range acked {
		if !there[id] {
			t.Errorf("the acknowledged batch %s is lost", id)
		}
	}
	if n, _, err := steps.Get(v, "counter"); err != nil || n.Text != fmt.Sprint(len(there)) {
		t.Errorf("the counter is %v after %d batches, %v", n, len(there), err)
	}
	told := map[string]int{}
	for after := uint64(0); ; {
		msgs, err := s.Outbox(ctx, after, 500)
		if err != nil {
			t.Fatal(err)
		}
		if len(msgs) == 0 {
			break
		}
		for _, m := range msgs {
			told[string(m.Body)]++
			after = m.Seq
		}
	}
	for id := range there {
		if told[id] != 1 {
			t.Errorf("batch %s is told %d times", id, told[id])
		}
	}
	if len(told) != len(there) {
		t.Errorf("%d batches are told, %d were made", len(told), len(there))
	}
	return len(there)
}

// A commit whose answer is lost is found to be made, and is made once.
func TestLostAnswer(t *testing.T) {
	server := pgtest.Shared(t)
	direct, keys := server.Database(t), ring(t, t.TempDir())
	p := pgtest.NewProxy(t, server)
	s := open(t, p.URL(direct), keys, postgres.Options{})
	acked := map[string]bool{}
	for i := range 10 {
		p.Answer.Store(true)
		id := fmt.Sprint(i)
		if err := count(s, id); err != nil {
			t.Fatal(err)
		}
		acked[id] = true
	}
	if n := counted(t, s, acked); n != 10 || p.Answered.Load() != 10 {
		t.Errorf("%d batches, %d answers were cut; want 10 and 10", n, p.Answered.Load())
	}
}

// Connections that break anywhere lose nothing and double nothing.
func TestBrokenConnections(t *testing.T) {
	server := pgtest.Shared(t)
	direct, keys := server.Database(t), ring(t, t.TempDir())
	p := pgtest.NewProxy(t, server)
	s := open(t, p.URL(direct), keys, postgres.Options{})
	p.Every.Store(40 << 10)
	var mu sync.Mutex
	acked := map[string]bool{}
	failed := 0
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			for i := range 40 {
				id := fmt.Sprintf("%d-%d", w, i)
				err := count(s, id)
				mu.Lock()
				if err == nil {
					acked[id] = true
				} else {
					failed++
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	p.Every.Store(0)
	n := counted(t, s, acked)
	t.Logf("%d connections were cut: %d batches acknowledged, %d refused, %d made; 0 lost, 0 twice", p.Cuts.Load(), len(acked), failed, n)
	if p.Cuts.Load() < 5 || len(acked) < 120 {
		t.Errorf("%d cuts and %d of 160 batches prove little", p.Cuts.Load(), len(acked))
	}
}

// PostgreSQL is killed and started again, and stopped and started again, under load.
func TestRestartOfTheServer(t *testing.T) {
	server := pgtest.Start(t)
	url, keys := server.Database(t), ring(t, t.TempDir())
	stores := []*postgres.Store{open(t, url, keys, postgres.Options{Patience: 30 * time.Second}), open(t, url, keys, postgres.Options{Patience: 30 * time.Second})}
	var mu sync.Mutex
	acked := map[string]bool{}
	failed := 0
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for w := range 6 {
		wg.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				id := fmt.Sprintf("%d-%d", w, i)
				err := count(stores[w%2], id)
				mu.Lock()
				if err == nil {
					acked[id] = true
				} else {
					failed++
				}
				mu.Unlock()
			}
		})
	}
	progress := func() { // ten more batches
		mu.Lock()
		want := len(acked) + 10
		mu.Unlock()
		for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
			mu.Lock()
			n := len(acked)
			mu.Unlock()
			if n >= want {
				return
			}
		}
	}
	for i := range 4 {
		progress()
		if i%2 == 0 {
			server.Crash()
		} else {
			server.Stop()
		}
		if err := server.Run(); err != nil {
			t.Fatal(err)
		}
	}
	progress()
	close(stop)
	wg.Wait()
	n := counted(t, stores[0], acked)
	t.Logf("2 crashes and 2 restarts: %d batches acknowledged, %d refused, %d made; 0 lost, 0 twice", len(acked), failed, n)
	if len(acked) < 50 {
		t.Errorf("%d batches prove little", len(acked))
	}
}
