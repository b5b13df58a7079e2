package limits

import (
	"sync"
	"time"

	"github.com/galen-health/galen/platform/errs"
)

// Allowance is what one caller may ask for. Zero fields do not bound.
type Allowance struct {
	Rate       float64 // requests a second, over time
	Burst      int     // requests at once on top of that; 0 = one second's
	Concurrent int     // requests in progress
}

// Callers counts what each caller asks for. A nil *Callers bounds nothing.
type Callers struct {
	allowance Allowance
	now       func() time.Time
	mu        sync.Mutex
	callers   map[string]*caller
	sweepAt   int // callers are forgotten when there are this many
}

// caller is a bucket of tokens that fills with time, and the requests in progress.
type caller struct {
	tokens  float64
	filled  time.Time
	running int
}

const firstSweep = 1024

// NewCallers holds callers to an allowance; nil when it bounds nothing. now is time.Now outside of tests.
func NewCallers(a Allowance, now func() time.Time) *Callers {
	if a.Rate <= 0 && a.Concurrent <= 0 {
		return nil
	}
	if a.Burst <= 0 {
		a.Burst = max(1, int(a.Rate))
	}
	return &Callers{allowance: a, now: now, callers: map[string]*caller{}, sweepAt: firstSweep}
}

// Enter begins a request of a caller, or refuses it with errs.Throttled, whose Details are how long to wait (a time.Duration). The request ends when the
// function that comes back is called.
func (c *Callers) Enter(name string) (leave func(), err error) {
	if c == nil {
		return func() {}, nil
	}
	now := c.now()
	c.mu.Lock()
	defer c.mu.Unlock()
	k := c.callers[name]
	if k == nil {
		c.sweep(now)
		k = &caller{tokens: float64(c.allowance.Burst), filled: now}
		c.callers[name] = k
	}
	if n := c.allowance.Concurrent; n > 0 && k.running >= n {
		return nil, errs.New(errs.Throttled, "this caller has %d requests in progress, which is as many as it may: try again when one has ended", n).With(time.Second)
	}
	if c.allowance.Rate > 0 {
		c.fill(k, now)
		if k.tokens < 1 {
			wait := time.Duration((1 - k.tokens) / c.allowance.Rate * float64(time.Second))
			return nil, errs.New(errs.Throttled, "this caller sends more than %g requests a second: try again more slowly", c.allowance.Rate).With(wait)
		}
		k.tokens--
	}
	k.running++
	return sync.OnceFunc(func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		k.running--
	}), nil
}

func (c *Callers) fill(k *caller, now time.Time) {
	k.tokens = min(float64(c.allowance.Burst), k.tokens+max(0, now.Sub(k.filled).Seconds())*c.allowance.Rate)
	k.filled = now
}

// sweep forgets callers that are where a new one would be.
func (c *Callers) sweep(now time.Time) {
	if len(c.callers) < c.sweepAt {
		return
	}
	for name, k := range c.callers {
		if c.fill(k, now); k.running == 0 && (c.allowance.Rate <= 0 || k.tokens >= float64(c.allowance.Burst)) {
			delete(c.callers, name)
		}
	}
	c.sweepAt = max(firstSweep, 2*len(c.callers))
}

// Budget is an amount that all share: bytes in memory, requests in progress. A nil *Budget bounds nothing.
type Budget struct {
	mu   sync.Mutex
	left int64
	of   int64
	what string
}

// NewBudget shares out an amount of what; nil when it is not positive.
func NewBudget(of int64, what string) *Budget {
	if of <= 0 {
		return nil
	}
	return &Budget{left: of, of: of, what: what}
}

// Take takes n, or refuses with errs.Throttled when so much is not left. More than there is in all is given when nothing else is taken: it would never be.
func (b *Budget) Take(n int64) (give func(), err error) {
	if b == nil || n <= 0 {
		return func() {}, nil
	}
	n = min(n, b.of)
	b.mu.Lock()
	defer b.mu.Unlock()
	if n > b.left {
		return nil, errs.New(errs.Throttled, "the server is busy: all of its %d %s are in use: try again", b.of, b.what).With(time.Second)
	}
	b.left -= n
	return sync.OnceFunc(func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.left += n
	}), nil
}
