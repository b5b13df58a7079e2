package edge

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/galen-health/galen/aws/sigv4"
	"github.com/galen-health/galen/platform/limits"
)

// wrong are credentials of nobody.
var wrong = sigv4.Credentials{AccessKeyID: "AKIANOBODY", SecretAccessKey: "guess"}

// TestFailedAuthenticationIsSlowed: one failure too many is refused in each protocol's own words; who is authenticated from the same address is not.
func TestFailedAuthenticationIsSlowed(t *testing.T) {
	h := newHarness(t, testRoute())
	form := map[string]string{"Content-Type": "application/x-www-form-urlencoded"}
	for what, c := range map[string]struct {
		service, method, target string
		header                  map[string]string
		body                    string
		status                  int
		code                    string
	}{
		"JSON":       {"healthlake", "POST", "/", target("HealthLake.DescribeFHIRDatastore"), `{"DatastoreId":"` + strings.Repeat("a", 32) + `"}`, 429, "ThrottlingException"},
		"REST XML":   {"s3", "GET", "/bucket/k", nil, "", 503, "<Code>SlowDown</Code>"},
		"query":      {"sts", "POST", "/", form, "Action=GetCallerIdentity&Version=2011-06-15", 400, "<Code>Throttling</Code>"},
		"a standard": {"healthlake", "GET", "/datastore/d/r4/Patient/p", nil, "", 429, ""},
	} {
		now := time.Unix(1_800_000_000, 0)
		h.edge.load = newLoad(Load{Strangers: Strangers{Failures: limits.Allowance{Rate: 1, Burst: 3}}}, func() time.Time { return now })
		for n := range 3 {
			if r := h.send(wrong, c.service, c.method, c.target, c.header, c.body); r.header.Get("Retry-After") != "" || r.status < 400 {
				t.Errorf("%s: failure %d: %d %s", what, n, r.status, r.body)
			}
		}
		r := h.send(wrong, c.service, c.method, c.target, c.header, c.body)
		if r.status != c.status || !strings.Contains(r.body, c.code) || r.header.Get("Retry-After") != "1" {
			t.Errorf("%s: %d %s, Retry-After %q, want %d %s", what, r.status, r.body, r.header.Get("Retry-After"), c.status, c.code)
		}
		for range 5 {
			if r := h.send(root, c.service, c.method, c.target, c.header, c.body); r.header.Get("Retry-After") != "" {
				t.Errorf("%s: root from the same address: %d %s", what, r.status, r.body)
			}
		}
		now = now.Add(time.Second)
		if r := h.send(wrong, c.service, c.method, c.target, c.header, c.body); r.header.Get("Retry-After") != "" {
			t.Errorf("%s: after the wait: %d %s", what, r.status, r.body)
		}
	}
}

// TestStrangersDoNotFillTheLog: of a flood of refused requests the log gets some entries and one that counts the rest; every call of somebody known has its own, also the refused ones.
func TestStrangersDoNotFillTheLog(t *testing.T) {
	h := newHarness(t)
	now := time.Unix(1_800_000_000, 0)
	h.edge.load = newLoad(Load{Strangers: Strangers{Entries: limits.Allowance{Rate: 1, Burst: 10}, All: limits.Allowance{Rate: 100, Burst: 100}}}, func() time.Time { return now })
	const flood = 500
	get := func(c sigv4.Credentials) { h.send(c, "s3", "GET", "/bucket/k", nil, "") }
	for n := range flood {
		get(wrong)
		if n%10 == 0 {
			get(alice) // who may not
		}
		if n%50 == 0 {
			r, err := http.NewRequest("GET", h.server.URL+"/bucket/k", nil)
			if err != nil {
				t.Fatal(err)
			}
			h.do(r) // unsigned
		}
	}
	count := func() (strangers, known int, refused uint64) {
		h.journal.mu.Lock()
		defer h.journal.mu.Unlock()
		for _, e := range h.journal.entries {
			switch {
			case e.Name == "RefusedRequests":
				n, err := strconv.ParseUint(e.Parameters["requests"], 10, 64)
				if err != nil || e.SourceIP != "127.0.0.1" || e.Parameters["since"] == "" || e.ID+e.Principal != "" {
					t.Errorf("the summary is %+v", e)
				}
				refused += n
			case e.Principal == "":
				strangers++
			default:
				known++
			}
		}
		return strangers, known, refused
	}
	h.journal.fail(true)
	if err := h.edge.Summarise(context.Background()); err == nil {
		t.Error("a summary that cannot be written is not told of")
	}
	h.journal.fail(false)
	for range 2 { // the second has nothing left
		if err := h.edge.Summarise(context.Background()); err != nil {
			t.Fatal(err)
		}
		if s, k, n := count(); s != 10 || k != flood/10 || n != flood+flood/50-10 {
			t.Errorf("%d entries of strangers, %d of somebody known, %d counted", s, k, n)
		}
	}
	now = now.Add(3 * time.Second)
	for range 5 {
		get(wrong)
	}
	if s, _, _ := count(); s != 13 {
		t.Errorf("%d entries of strangers after three seconds", s)
	}
}

// Addresses beyond the named ones are counted together, and a network of IPv6 is one place.
func TestManyAddressesAreCounted(t *testing.T) {
	h := newHarness(t)
	s := newStrangers(Strangers{All: limits.Allowance{Rate: 1, Burst: 1}}, func() time.Time { return time.Unix(0, 0) })
	h.edge.load.strangers = s
	const addresses = 1000
	for n := range addresses {
		for range 2 {
			s.entry(place(netip.MustParseAddr(fmt.Sprintf("10.0.%d.%d", n/250, n%250))), time.Unix(0, 0))
		}
	}
	if len(s.named) != mostNamed {
		t.Errorf("%d addresses are held", len(s.named))
	}
	if err := h.edge.Summarise(context.Background()); err != nil {
		t.Fatal(err)
	}
	sum, rows := uint64(0), 0
	for _, e := range h.journal.entries {
		n, err := strconv.ParseUint(e.Parameters["requests"], 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		sum += n
		rows++
	}
	if sum != 2*addresses-1 || rows != mostNamed+1 {
		t.Errorf("%d requests in %d entries", sum, rows)
	}
	for a, want := range map[string]string{"192.0.2.1": "192.0.2.1", "2001:db8:1:2:3::4": "2001:db8:1:2::/64", "fe80::1%eth0": "fe80::/64"} {
		if got := place(netip.MustParseAddr(a)); got != want {
			t.Errorf("%s is of %s, want %s", a, got, want)
		}
	}
}
