package postgres_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/galen-health/galen/aws/healthlake"
	"github.com/galen-health/galen/platform/record/postgres/pgtest"
	"github.com/galen-health/galen/test/galen"
)

// answered is longer than any call may wait for a database that is not there; no test waits for it.
const answered = 2 * time.Minute

// TestSlowAndDead: a server whose PostgreSQL is slow answers; whose PostgreSQL is away, cut off or hangs answers 503 in the end and says so at /readyz; it goes on by itself
// when the database does. Nothing is half there: what was acknowledged is, and what was not is either whole or not at all.
func TestSlowAndDead(t *testing.T) {
	t.Parallel()
	pg := pgtest.Start(t)
	url := pg.Database(t)
	p := pgtest.NewProxy(t, pg)
	g := galen.New(t, t.TempDir(), "--records", p.URL(url), "--services", "healthlake", "--log-level", "error")
	g.Run()
	lake, err := healthlake.NewClient(g.Client()).CreateFHIRDatastore(t.Context(), &healthlake.CreateFHIRDatastoreInput{DatastoreTypeVersion: healthlake.FHIRVersionR4})
	must(t)(lake, err)
	r := &trio{t: t, servers: [3]*galen.Server{g, g, g}, fhir: lake.DatastoreId}
	r.await("the data store", time.Minute, func() bool {
		d, err := healthlake.NewClient(g.Client()).DescribeFHIRDatastore(t.Context(), &healthlake.DescribeFHIRDatastoreInput{DatastoreId: r.fhir})
		return err == nil && d.DatastoreProperties.DatastoreStatus == healthlake.DatastoreStatusActive
	})
	call := func(method, path, body string) int {
		ctx, cancel := context.WithTimeout(t.Context(), answered)
		defer cancel()
		status, _, err := r.send(ctx, r.once(), method, path, strings.NewReader(body))
		if err != nil {
			t.Errorf("%s %s: no answer: %v", method, path, err)
		}
		return status
	}
	acked := map[string]bool{}
	tried := 0
	write := func() int {
		name := fmt.Sprint("w", tried)
		tried++
		status := call("PUT", "Patient/"+name, fmt.Sprintf(`{"resourceType":"Patient","id":%q,"identifier":[{"system":"urn:n","value":%q}]}`, name, name))
		if status == 201 {
			acked[name] = true
		}
		return status
	}
	ready := func() int {
		resp, err := http.Get(g.URL + "/readyz")
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close() //nolint:errcheck // test
		if _, err := io.Copy(io.Discard, resp.Body); err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode
	}
	if s := write(); s != 201 {
		t.Fatalf("before: %d", s)
	}

	p.Delay.Store(int64(100 * time.Millisecond))
	if s := write(); s != 201 {
		t.Errorf("on a slow database a write gives %d", s)
	}
	if s := call("GET", "Patient/w0", ""); s != 200 {
		t.Errorf("on a slow database a read gives %d", s)
	}
	p.Delay.Store(0)

	for what, fault := range map[string]struct{ begin, end func() }{
		"resets": {func() { p.CutAll() }, func() {}},
		"away":   {func() { p.Refuse.Store(true); p.CutAll() }, func() { p.Refuse.Store(false) }},
		"hangs":  {func() { p.Stall.Store(true) }, func() { p.Stall.Store(false) }},
		"restarts": {func() { pg.Crash() }, func() {
			if err := pg.Run(); err != nil {
				t.Fatal(err)
			}
		}},
	} {
		if os.Getenv("GALEN_POSTGRES_KILLS") == "" && (what == "away" || what == "restarts") {
			continue // the long form: each waits as long as the server does
		}
		fault.begin()
		var wg sync.WaitGroup
		var wrote, read int
		wg.Go(func() { wrote = write() })
		wg.Go(func() { read = call("GET", "Patient/w0", "") })
		if what != "resets" {
			r.await(what+": /readyz says no", answered, func() bool { return ready() == 503 })
		}
		wg.Wait()
		if what == "resets" {
			if wrote != 201 || read != 200 {
				t.Errorf("%s: a write gives %d, a read %d: a lost connection is made good", what, wrote, read)
			}
		} else if wrote != 503 || read != 503 {
			t.Errorf("%s: a write gives %d, a read %d; want 503", what, wrote, read)
		}
		fault.end()
		r.await(what+": it goes on", answered, func() bool { return ready() == 200 && write() == 201 })
	}
	for n := range tried {
		name := fmt.Sprint("w", n)
		status, found := call("GET", "Patient/"+name, ""), r.found(t, "urn:n|"+name)
		switch {
		case status == 200 && found == 1: // acknowledged, or the answer was lost
		case status == 404 && found == 0 && !acked[name]:
		default:
			t.Errorf("%s, acknowledged %v: a read gives %d, a search finds %d", name, acked[name], status, found)
		}
	}
	g.Stop()
	if out, err := g.Exec("verify", "--data-dir", g.Dir, "--records", p.URL(url)); err != nil {
		t.Errorf("galen verify: %v\n%s", err, out)
	}
	t.Logf("%d of %d writes acknowledged, 0 lost, 0 half there", len(acked), tried)
}
