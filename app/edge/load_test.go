package edge

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/galen-health/galen/platform/limits"
)

// TestCallersAreHeldToTheirAllowance: one request too many is refused in each protocol's own words, with the time to wait; another caller is not touched.
func TestCallersAreHeldToTheirAllowance(t *testing.T) {
	h := newHarness(t, testRoute())
	form := map[string]string{"Content-Type": "application/x-www-form-urlencoded"}
	for what, c := range map[string]struct {
		service, method, target string
		header                  map[string]string
		body                    string
		status                  int
		code                    string
	}{
		"JSON 1.0":   {"healthlake", "POST", "/", target("HealthLake.DescribeFHIRDatastore"), `{"DatastoreId":"` + strings.Repeat("a", 32) + `"}`, 429, "ThrottlingException"},
		"JSON 1.1":   {"kms", "POST", "/", target("TrentService.GenerateRandom"), `{"NumberOfBytes":8}`, 400, "ThrottlingException"},
		"REST JSON":  {"omics", "GET", "/tags/arn%3Aaws%3Aomics%3Aus-east-1%3A000000000000%3Arun%2F1", nil, "", 429, "ThrottlingException"},
		"REST XML":   {"s3", "GET", "/bucket/k", nil, "", 503, "<Code>SlowDown</Code>"},
		"query":      {"sts", "POST", "/", form, "Action=GetCallerIdentity&Version=2011-06-15", 400, "<Code>Throttling</Code>"},
		"CBOR":       {"comprehendmedical", "POST", "/service/ComprehendMedical_20181030/operation/DetectPHI", map[string]string{"Smithy-Protocol": "rpc-v2-cbor"}, "\xa1dTextax", 429, "TooManyRequestsException"},
		"a standard": {"healthlake", "GET", "/datastore/d/r4/Patient/p", nil, "", 429, ""},
	} {
		now := time.Unix(1_800_000_000, 0)
		h.edge.load = newLoad(Load{Caller: limits.Allowance{Rate: 0.1, Burst: 1}}, func() time.Time { return now })
		if r := h.send(root, c.service, c.method, c.target, c.header, c.body); r.status == c.status {
			t.Errorf("%s: the first is refused: %d %s", what, r.status, r.body)
		}
		r := h.send(root, c.service, c.method, c.target, c.header, c.body)
		if r.status != c.status || !strings.Contains(r.body, c.code) || r.header.Get("Retry-After") != "10" || r.header.Get("X-Amzn-Requestid") == "" {
			t.Errorf("%s: %d %s, Retry-After %q, want %d %s", what, r.status, r.body, r.header.Get("Retry-After"), c.status, c.code)
		}
		if r := h.send(alice, c.service, c.method, c.target, c.header, c.body); r.header.Get("Retry-After") != "" {
			t.Errorf("%s: another caller is refused: %d %s", what, r.status, r.body)
		}
		now = now.Add(10 * time.Second)
		if r := h.send(root, c.service, c.method, c.target, c.header, c.body); r.status == c.status {
			t.Errorf("%s: after the wait: %d %s", what, r.status, r.body)
		}
	}
}

// TestPlacesAreGivenBack: what a request takes of the shared amounts it gives back, whether it is answered, refused or ends in a panic.
func TestPlacesAreGivenBack(t *testing.T) {
	h := newHarness(t)
	h.edge.load = newLoad(Load{Caller: limits.Allowance{Concurrent: 1}, Requests: 1, Memory: 100}, time.Now)
	create := func(name string) raw {
		return h.send(root, "healthlake", "POST", "/", target(create), `{"DatastoreTypeVersion":"R4","DatastoreName":"`+name+`"}`)
	}
	for range 3 {
		for name, want := range map[string]int{"good": 200, "missing": 404, "panic": 500} {
			if r := create(name); r.status != want {
				t.Errorf("%s: %d %s", name, r.status, r.body)
			}
		}
		if r := h.send(root, "healthlake", "POST", "/", target("HealthLake.Nothing"), `{}`); r.status != 400 {
			t.Errorf("an unknown operation: %d %s", r.status, r.body)
		}
	}
	taken, err := h.edge.load.memory.Take(90)
	if err != nil {
		t.Fatal(err)
	}
	if r := create("crowded"); r.status != http.StatusTooManyRequests || !strings.Contains(r.body, "busy") {
		t.Errorf("with no memory left: %d %s", r.status, r.body)
	}
	taken()
	if taken, err = h.edge.load.requests.Take(1); err != nil {
		t.Fatal(err)
	}
	if r := create("late"); r.status != http.StatusTooManyRequests {
		t.Errorf("with no place left: %d %s", r.status, r.body)
	}
	taken()
	if r := create("good"); r.status != 200 {
		t.Errorf("with all given back: %d %s", r.status, r.body)
	}
}

// TestBodyBound: a bound of the server's own, below what the contract allows, with and without a length.
func TestBodyBound(t *testing.T) {
	h := newHarness(t)
	h.edge.cfg.Load.Body = 100
	h.edge.load = newLoad(h.edge.cfg.Load, time.Now)
	body := `{"DatastoreTypeVersion":"R4"` + strings.Repeat(" ", 100) + `}`
	if r := h.send(root, "healthlake", "POST", "/", target(create), body); r.status != 413 || !strings.Contains(r.body, "100 bytes") {
		t.Errorf("a body over the bound: %d %s", r.status, r.body)
	}
	if r := h.send(root, "healthlake", "POST", "/", target(create), strings.TrimSpace(strings.ReplaceAll(body, " ", ""))); r.status != 200 {
		t.Errorf("a body within the bound: %d %s", r.status, r.body)
	}
}
