package limits

import (
	"fmt"
	"testing"
	"time"

	"github.com/galen-health/galen/platform/errs"
)

func TestCallersRate(t *testing.T) {
	now := time.Unix(0, 0)
	c := NewCallers(Allowance{Rate: 2, Burst: 3}, func() time.Time { return now })
	enter := func(who string) error {
		leave, err := c.Enter(who)
		if err == nil {
			leave()
		}
		return err
	}
	for n := range 3 {
		if err := enter("a"); err != nil {
			t.Fatalf("request %d of a burst of 3: %v", n, err)
		}
	}
	err := enter("a")
	if !errs.Is(err, errs.Throttled) || errs.As(err).Details != 500*time.Millisecond {
		t.Errorf("the fourth at once: %v, wait %v", err, errs.As(err).Details)
	}
	if err := enter("b"); err != nil {
		t.Errorf("another caller: %v", err)
	}
	now = now.Add(500 * time.Millisecond)
	if err := enter("a"); err != nil {
		t.Errorf("after the wait: %v", err)
	}
	if err := enter("a"); err == nil {
		t.Error("one wait was good for two requests")
	}
	now = now.Add(time.Hour)
	n := 0
	for ; enter("a") == nil; n++ {
		if n > 10 {
			break
		}
	}
	if n != 3 {
		t.Errorf("after an hour %d requests at once, want the burst of 3", n)
	}
	now = now.Add(-2 * time.Hour) // a clock that is set back gives nothing and takes nothing
	if err := enter("a"); err == nil {
		t.Error("a clock set back gave a request")
	}
}

func TestCallersConcurrent(t *testing.T) {
	c := NewCallers(Allowance{Concurrent: 2}, time.Now)
	one, err1 := c.Enter("a")
	_, err2 := c.Enter("a")
	if err1 != nil || err2 != nil {
		t.Fatal(err1, err2)
	}
	if _, err := c.Enter("a"); !errs.Is(err, errs.Throttled) {
		t.Errorf("the third in progress: %v", err)
	}
	one()
	one() // twice is once
	if _, err := c.Enter("a"); err != nil {
		t.Errorf("after one has ended: %v", err)
	}
	if _, err := c.Enter("a"); err == nil {
		t.Error("one that ended twice made room for two")
	}
}

func TestCallersAreForgotten(t *testing.T) {
	now := time.Unix(0, 0)
	c := NewCallers(Allowance{Rate: 1, Concurrent: 1}, func() time.Time { return now })
	if _, err := c.Enter("busy"); err != nil {
		t.Fatal(err)
	}
	for n := range 10 * firstSweep {
		now = now.Add(time.Second)
		leave, err := c.Enter(fmt.Sprint(n))
		if err != nil {
			t.Fatal(err)
		}
		leave()
	}
	if n := len(c.callers); n > 2*firstSweep {
		t.Errorf("%d callers are remembered", n)
	}
	if _, err := c.Enter("busy"); err == nil {
		t.Error("a caller with a request in progress was forgotten")
	}
}

func TestBudget(t *testing.T) {
	b := NewBudget(100, "bytes")
	all, err := b.Take(1000) // more than there is in all, alone
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.Take(1); !errs.Is(err, errs.Throttled) {
		t.Errorf("from an empty budget: %v", err)
	}
	all()
	all()
	if _, err := b.Take(60); err != nil {
		t.Error(err)
	}
	if _, err := b.Take(60); err == nil {
		t.Error("120 of 100 were given")
	}
	var none *Budget
	var nobody *Callers
	if _, err := none.Take(1 << 40); err != nil {
		t.Error(err)
	}
	if _, err := nobody.Enter("a"); err != nil {
		t.Error(err)
	}
}
