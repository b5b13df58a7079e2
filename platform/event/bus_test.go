package event_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/event"
	"github.com/galen-health/galen/platform/key"
	"github.com/galen-health/galen/platform/key/keyring"
	"github.com/galen-health/galen/platform/record"
	"github.com/galen-health/galen/platform/record/pebble"
)

var ctx = context.Background()

const space record.Space = "svc"

type thing struct{ N int }

var things = record.Kind[thing]{Name: "test.thing"}

func openStore(t testing.TB, dir string) record.Store {
	t.Helper()
	keys, err := keyring.Open(dir+"/keys", nil, keyring.Config{})
	if err != nil {
		t.Fatal(err)
	}
	s, err := pebble.Open(dir+"/records", keys, pebble.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close(); _ = keys.Close() })
	if err := s.Declare(things.Def()); err != nil {
		t.Fatal(err)
	}
	if err := s.CreateSpace(ctx, space, key.Ref{}); err != nil {
		t.Fatal(err)
	}
	return s
}

func newBus(t testing.TB, s record.Store) *event.Bus {
	t.Helper()
	b, err := event.New(ctx, s, event.Config{Account: "000000000000", Region: "us-east-1", Attempts: 3, Backoff: func(int) time.Duration { return time.Millisecond }})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func run(t testing.TB, b *event.Bus) (stop func()) {
	t.Helper()
	rctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := b.Run(rctx); err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	stop = func() { cancel(); wg.Wait() }
	t.Cleanup(stop)
	return stop
}

func emit(t testing.TB, s record.Store, n int) {
	t.Helper()
	_, err := s.Update(ctx, space, nil, func(tx record.Tx) error {
		if err := things.Put(tx, fmt.Sprint(n), &thing{n}); err != nil {
			return err
		}
		return event.Emit(tx, event.Event{Source: "aws.test", DetailType: []string{"Even", "Odd"}[n%2], Detail: event.Detail(map[string]int{"n": n})})
	})
	if err != nil {
		t.Fatal(err)
	}
}

// seen collects what a subscriber gets.
type seen struct {
	mu  sync.Mutex
	got []int
}

func (s *seen) take(_ context.Context, e *event.Event) error {
	var d struct{ N int }
	if err := json.Unmarshal(e.Detail, &d); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.got = append(s.got, d.N)
	return nil
}

func (s *seen) list() []int { s.mu.Lock(); defer s.mu.Unlock(); return append([]int(nil), s.got...) }

func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(15 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
	}
}

func TestDeliveryInOrderAndByPattern(t *testing.T) {
	s := openStore(t, t.TempDir())
	b := newBus(t, s)
	var all, odd seen
	var first event.Event
	if err := b.Subscribe("all", "", func(ctx context.Context, e *event.Event) error {
		if first.ID == "" {
			first = *e
		}
		return all.take(ctx, e)
	}); err != nil {
		t.Fatal(err)
	}
	if err := b.Subscribe("odd", `{"detail-type":["Odd"],"account":["000000000000"]}`, odd.take); err != nil {
		t.Fatal(err)
	}
	if err := b.Subscribe("odd", "", odd.take); err == nil {
		t.Error("a name was taken twice")
	}
	if err := b.Subscribe("bad", `{"a":5}`, odd.take); !errs.Is(err, errs.Invalid) {
		t.Errorf("a bad pattern: %v", err)
	}
	emit(t, s, 0) // before the bus runs
	run(t, b)
	for n := 1; n < 300; n++ {
		emit(t, s, n)
	}
	eventually(t, "all events are delivered", func() bool { return len(all.list()) == 300 && len(odd.list()) == 150 })
	for i, n := range all.list() {
		if n != i {
			t.Fatalf("event %d came at place %d", n, i)
		}
	}
	if len(first.ID) != 36 || first.Time.IsZero() || first.Account != "000000000000" || first.Region != "us-east-1" || first.Resources == nil {
		t.Errorf("the first event is %+v", first)
	}
	if err := b.Subscribe("late", "", odd.take); err == nil {
		t.Error("a subscriber was taken after the start")
	}
}

func TestNothingIsAnnouncedThatDidNotHappen(t *testing.T) {
	s := openStore(t, t.TempDir())
	b := newBus(t, s)
	var all seen
	if err := b.Subscribe("all", "", all.take); err != nil {
		t.Fatal(err)
	}
	run(t, b)
	if _, err := s.Update(ctx, space, nil, func(tx record.Tx) error {
		if err := event.Emit(tx, event.Event{Source: "aws.test", DetailType: "x", Detail: event.Detail(thing{1})}); err != nil {
			return err
		}
		return errs.New(errs.Conflict, "no")
	}); err == nil {
		t.Fatal("the batch was committed")
	}
	emit(t, s, 2)
	eventually(t, "the second event is delivered", func() bool { return len(all.list()) > 0 })
	if got := all.list(); len(got) != 1 || got[0] != 2 {
		t.Errorf("delivered %v, want [2]", got)
	}
}

func TestRetryThenDeadLetter(t *testing.T) {
	s := openStore(t, t.TempDir())
	b := newBus(t, s)
	var good, picky seen
	var mu sync.Mutex
	tries := map[int]int{}
	if err := b.Subscribe("picky", "", func(ctx context.Context, e *event.Event) error {
		var d struct{ N int }
		if err := json.Unmarshal(e.Detail, &d); err != nil {
			return err
		}
		mu.Lock()
		tries[d.N]++
		n := tries[d.N]
		mu.Unlock()
		switch {
		case d.N == 1 && n < 3:
			return errs.New(errs.Unavailable, "later")
		case d.N == 2:
			return errs.New(errs.Denied, "never")
		case d.N == 3:
			panic("defect")
		}
		return picky.take(ctx, e)
	}); err != nil {
		t.Fatal(err)
	}
	if err := b.Subscribe("good", "", good.take); err != nil {
		t.Fatal(err)
	}
	run(t, b)
	for n := range 5 {
		emit(t, s, n)
	}
	eventually(t, "both get to the end", func() bool { return len(picky.list()) == 3 && len(good.list()) == 5 })
	if got := fmt.Sprint(picky.list()); got != "[0 1 4]" {
		t.Errorf("picky handled %s", got)
	}
	if tries[2] != 3 {
		t.Errorf("the denied event was tried %d times, want 3", tries[2])
	}
	dead, _, err := b.DeadLetters(ctx, "picky", "", 10)
	if err != nil || len(dead) != 2 || dead[0].Error != "denied: never" || dead[0].Attempts != 3 || !strings.Contains(string(dead[0].Event), `"n":2`) {
		t.Errorf("dead letters %+v, %v", dead, err)
	}
	if dead, _, err := b.DeadLetters(ctx, "good", "", 10); err != nil || len(dead) != 0 {
		t.Errorf("dead letters of the other: %+v, %v", dead, err)
	}
}

func TestPositionsReplayAndTrim(t *testing.T) {
	s := openStore(t, t.TempDir())
	var one seen
	b := newBus(t, s)
	if err := b.Subscribe("one", "", one.take); err != nil {
		t.Fatal(err)
	}
	run(t, b)
	for n := range 10 {
		emit(t, s, n)
	}
	eventually(t, "ten", func() bool { return len(one.list()) == 10 })
	if err := b.Replay("one", 0); err != nil {
		t.Fatal(err)
	}
	eventually(t, "all ten again", func() bool { return len(one.list()) == 20 })
	if err := b.Replay("none", 0); !errs.Is(err, errs.NotFound) {
		t.Errorf("replay of none: %v", err)
	}
	pos, err := b.Position("one")
	if err != nil || pos == 0 {
		t.Fatalf("position %d, %v", pos, err)
	}
	if err := b.Trim(ctx, time.Now().Add(-time.Hour)); err != nil {
		t.Fatal(err)
	}
	if left, err := s.Outbox(ctx, 0, 100); err != nil || len(left) != 10 {
		t.Errorf("young messages were trimmed: %d left, %v", len(left), err)
	}
	eventually(t, "the position is saved and delivered messages are trimmed", func() bool {
		if err := b.Trim(ctx, time.Now().Add(time.Hour)); err != nil {
			t.Fatal(err)
		}
		left, err := s.Outbox(ctx, 0, 100)
		return err == nil && len(left) == 0
	})
}

// TestDeliverer is the child of TestKill.
func TestDeliverer(t *testing.T) {
	dir := os.Getenv("EVENT_DIR")
	if dir == "" {
		t.Skip("runs as a child of TestKill")
	}
	s := openStore(t, dir)
	b := newBus(t, s)
	if err := b.Subscribe("out", "", func(_ context.Context, e *event.Event) error {
		fmt.Printf("got %s %s\n", e.ID, e.Detail)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	run(t, b)
	base := time.Now().UnixNano()
	for i := 0; ; i++ {
		n := int(base) + i
		emit(t, s, n)
		fmt.Printf("ack %d\n", n)
	}
}

// number is n of {"n":n}.
func number(detail string) string {
	_, n, _ := strings.Cut(detail, ":")
	return strings.TrimSuffix(n, "}")
}

// What was acknowledged before kill -9 is delivered by this process or a later one; order within the outbox holds.
func TestKill(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	dir := t.TempDir()
	acked, got := map[string]bool{}, map[string]bool{}
	for round := range 5 {
		cmd := exec.Command(os.Args[0], "-test.run", "^TestDeliverer$")
		cmd.Env = append(os.Environ(), "EVENT_DIR="+dir)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		sc := bufio.NewScanner(out)
		for n := 0; sc.Scan(); {
			f := strings.Fields(sc.Text())
			switch {
			case len(f) == 2 && f[0] == "ack":
				acked[f[1]] = true
				if n++; n == 30+round*41 {
					_ = cmd.Process.Kill()
				}
			case len(f) == 3 && f[0] == "got":
				got[number(f[2])] = true
			}
		}
		_ = cmd.Wait()
	}
	s := openStore(t, dir)
	b := newBus(t, s)
	var mu sync.Mutex
	if err := b.Subscribe("out", "", func(_ context.Context, e *event.Event) error {
		mu.Lock()
		defer mu.Unlock()
		got[number(string(e.Detail))] = true
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	run(t, b)
	missing := func() (n int) {
		mu.Lock()
		defer mu.Unlock()
		for id := range acked {
			if !got[id] {
				n++
			}
		}
		return n
	}
	eventually(t, "every acknowledged event is delivered", func() bool { return missing() == 0 })
	t.Logf("5 kills: %d acknowledged, %d delivered", len(acked), len(got))
}
