package edge

import (
	"context"
	"net/netip"
	"strconv"
	"sync"
	"time"

	"github.com/galen-health/galen/platform/audit"
	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/limits"
)

// Strangers bounds what requests that nobody is known to have sent may take: of attempts to be known, and of the audit log. Zero fields do not bound.
type Strangers struct {
	Failures limits.Allowance // failed authentications of an address; one more is told to slow down
	Entries  limits.Allowance // audit entries that the requests of an address may leave; those beyond are counted
	All      limits.Allowance // and those of all addresses
}

// mostNamed bounds the addresses that are counted by name in one interval.
const mostNamed = 256

// strangers counts what leaves no entry of its own.
type strangers struct {
	failures, entries, all *limits.Callers

	mu     sync.Mutex
	named  map[string]uint64
	others uint64 // of addresses beyond the named ones
	since  time.Time
}

func newStrangers(s Strangers, now func() time.Time) *strangers {
	return &strangers{failures: limits.NewCallers(s.Failures, now), entries: limits.NewCallers(s.Entries, now), all: limits.NewCallers(s.All, now), named: map[string]uint64{}}
}

// place is what one sender can hold many addresses of: an address of IPv4, a network of IPv6 (RFC 6177 §2: an end site gets one at least).
func place(a netip.Addr) string {
	if a.Is6() {
		if p, err := a.WithZone("").Prefix(64); err == nil {
			return p.String()
		}
	}
	return a.String()
}

// one takes one of an allowance.
func one(c *limits.Callers, name string) error {
	leave, err := c.Enter(name)
	if err == nil {
		leave()
	}
	return err
}

// entry reports whether a request from there may leave an entry of its own; if not, it is counted.
func (s *strangers) entry(from string, now time.Time) bool {
	if one(s.entries, from) == nil && one(s.all, "all") == nil {
		return true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.named) == 0 && s.others == 0 {
		s.since = now
	}
	if _, ok := s.named[from]; ok || len(s.named) < mostNamed {
		s.named[from]++
	} else {
		s.others++
	}
	return false
}

// slower is the error for a failed authentication too many, else the failure itself.
func (v *visit) slower(err error) error {
	if code := errs.CodeOf(err); v.known || code != errs.Unauthenticated && code != errs.Denied {
		return err
	}
	if one(v.e.load.strangers.failures, place(peer(v.r))) == nil {
		return err
	}
	return errs.New(errs.Throttled, "too many requests from this address could not be authenticated: try again more slowly, with credentials that are right").With(time.Second)
}

// stranger reports whether this request's entry counts against the bounds: nobody is known to have sent it, and it changed nothing.
func (v *visit) stranger(failure string) bool {
	return !v.known && (failure != "" || v.entry.ReadOnly)
}

// Summarise writes what was counted into the audit log, an entry for each address and one for those beyond. It is called now and then, and at the end.
func (e *Edge) Summarise(ctx context.Context) error {
	s := e.load.strangers
	s.mu.Lock()
	named, others, since := s.named, s.others, s.since
	s.named, s.others = map[string]uint64{}, 0
	s.mu.Unlock()
	now := e.cfg.Now().UTC()
	write := func(from string, n uint64) error {
		return e.cfg.Audit.Append(ctx, &audit.Entry{Time: now, Source: "galen.amazonaws.com", Name: "RefusedRequests", Kind: "Unknown", SourceIP: from, RequestID: newRequestID(), ReadOnly: true, Error: "Unauthenticated", Region: e.cfg.Region, Account: e.cfg.Account,
			Parameters: map[string]string{"requests": strconv.FormatUint(n, 10), "since": since.UTC().Format(time.RFC3339Nano)}})
	}
	var err error
	for from, n := range named {
		if err == nil {
			if err = write(from, n); err == nil {
				delete(named, from)
			}
		}
	}
	if err == nil && others > 0 {
		if err = write("", others); err == nil {
			others = 0
		}
	}
	if err != nil { // what is not written is counted on
		s.mu.Lock()
		for from, n := range named {
			s.named[from] += n
		}
		s.others += others
		s.since = since
		s.mu.Unlock()
	}
	return err
}
