package operations

import (
	"context"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/galen-health/galen/aws/healthlake"
	"github.com/galen-health/galen/aws/sts"
	"github.com/galen-health/galen/platform/record/postgres/pgtest"
	"github.com/galen-health/galen/test/galen"
)

// TestNotReadyWhenTheDiskIsNearlyFull: alive, but no place to send requests to; and the log says why.
func TestNotReadyWhenTheDiskIsNearlyFull(t *testing.T) {
	p := launch(t, t.TempDir(), "--min-free-bytes", "9000000000000000000")
	p.until("it is not ready for want of room", func() bool {
		status, body := p.admin("/readyz?verbose")
		return status == http.StatusServiceUnavailable && strings.HasPrefix(body, "not ready\n") && strings.Contains(body, "disk: exhausted\n") && strings.Contains(body, "records: ok\n")
	})
	if status, _ := p.admin("/livez"); status != http.StatusOK {
		t.Errorf("/livez answers %d", status)
	}
	if !strings.Contains(p.log(), `"msg":"not ready","engine":"disk"`) || !strings.Contains(p.log(), "make room") {
		t.Error("the log does not say what to do")
	}
}

// TestNotReadyWithoutAudit: a log that is gone while the server runs is found by asking it.
func TestNotReadyWithoutAudit(t *testing.T) {
	dir := t.TempDir()
	p := start(t, dir)
	old := filepath.Join(dir, "audit")
	if err := os.Rename(old, old+".gone"); err != nil {
		t.Fatal(err)
	}
	p.until("it is not ready", func() bool {
		status, body := p.admin("/readyz")
		return status == http.StatusServiceUnavailable && strings.Contains(body, "audit: ")
	})
}

// TestMetrics: on the operator's listener for whoever reaches it, on the endpoint with the token alone.
func TestMetrics(t *testing.T) {
	const token = "scrape-me-0123456789"
	p := start(t, t.TempDir(), "--metrics-token", token)
	ctx := context.Background()
	if _, err := sts.NewClient(p.client()).GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{}); err != nil {
		t.Fatal(err)
	}
	if _, err := healthlake.NewClient(p.client()).CreateFHIRDatastore(ctx, &healthlake.CreateFHIRDatastoreInput{DatastoreTypeVersion: healthlake.FHIRVersionR4}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`galen_calls_total{error="",operation="GetCallerIdentity",service="sts",status="200"} 1`, `galen_jobs_ended_total{kind="healthlake.`} { // a store is made by a job
		p.until(want, func() bool { _, m := p.admin("/metrics"); return strings.Contains(m, want) })
	}
	_, m := p.admin("/metrics")
	for _, name := range promised(t) {
		if !strings.Contains(m, "\n"+name) {
			t.Errorf("docs/guide/operations.md promises %s, which is not there", name)
		}
	}
	for _, name := range []string{"galen_call_seconds_bucket", `galen_call_bytes_total{direction="out"`, "galen_record_commits_total", "galen_record_versions_total", "galen_record_bytes", `galen_record_cache_total{result="hit"}`,
		"galen_record_compactions_total", "galen_blob_written_bytes_total", "galen_blob_read_bytes_total", "galen_audit_entries", `galen_audit_lag_entries{part="tree"}`, "galen_audit_failed 0", `galen_jobs_open{kind="`,
		`galen_jobs_running{kind="`, `galen_event_lag_seconds{subscriber="`, "go_goroutines", "process_resident_memory_bytes"} {
		if !strings.Contains(m, "\n"+name) {
			t.Errorf("there is no %s", name)
		}
	}
	for _, c := range []struct {
		authorization string
		status        int
	}{{"", 401}, {"Bearer wrong", 401}, {"Bearer ", 401}, {token, 401}, {"Bearer " + token, 200}} {
		r, err := http.NewRequest(http.MethodGet, "http://"+p.Addr+"/metrics", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", c.authorization)
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != c.status {
			t.Errorf("%q: %d, want %d", c.authorization, resp.StatusCode, c.status)
		}
	}
	if strings.Contains(p.log(), token) {
		t.Error("the log holds the token")
	}
}

// promised are the metrics in the table of the operator's guide. A name that begins with _ goes on from the first of its row, as far as the second word.
func promised(t *testing.T) (names []string) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(galen.Root(), "docs", "guide", "operations.md"))
	if err != nil {
		t.Fatal(err)
	}
	for row := range strings.Lines(string(b)) {
		cells := strings.Split(row, "|")
		if len(cells) < 4 || !strings.Contains(cells[1], "`galen_") {
			continue
		}
		stem := ""
		for i, name := range strings.Split(cells[1], "`") {
			switch {
			case i%2 == 0: // between names
			case strings.HasPrefix(name, "_"):
				names = append(names, stem+name)
			default:
				if words := strings.SplitN(name, "_", 3); len(words) == 3 {
					stem = words[0] + "_" + words[1]
				}
				names = append(names, strings.TrimSuffix(name, "*"))
			}
		}
	}
	if len(names) < 20 {
		t.Fatalf("the table promises only %v", names)
	}
	return names
}

// TestNotReadyWithoutPostgreSQL: while the record database is away the server says so and lives on; when it is back, so is the server, without a restart.
func TestNotReadyWithoutPostgreSQL(t *testing.T) {
	pg := pgtest.Start(t)
	p := start(t, t.TempDir(), "--records", pg.Database(t))
	pg.Stop()
	p.until("it is not ready for want of its records", func() bool {
		status, body := p.admin("/readyz")
		return status == http.StatusServiceUnavailable && strings.Contains(body, "records: ")
	})
	if status, _ := p.admin("/livez"); status != http.StatusOK {
		t.Errorf("/livez answers %d", status)
	}
	if err := pg.Run(); err != nil {
		t.Fatal(err)
	}
	p.until("it is ready again", func() bool { status, _ := p.admin("/readyz"); return status == http.StatusOK })
	if _, err := sts.NewClient(p.client()).GetCallerIdentity(t.Context(), &sts.GetCallerIdentityInput{}); err != nil {
		t.Error(err)
	}
	if !strings.Contains(p.log(), `"msg":"ready again","engine":"records"`) {
		t.Error("the log does not tell that the records are back")
	}
}

// TestStarting: while the stores are being opened (here: a database that takes the connection and says nothing), probes are answered, requests are told to come again,
// and the operator's signal is heard.
func TestStarting(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	p := launch(t, t.TempDir(), "--records", "postgres://u:p@"+silent.Addr().String()+"/db?sslmode=disable&connect_timeout=120")
	p.until("it is starting", func() bool { status, body := p.admin("/readyz"); return status == 503 && body == "starting\n" })
	if status, _ := p.admin("/livez"); status != http.StatusOK {
		t.Errorf("/livez answers %d", status)
	}
	resp, err := http.Get("http://" + p.Addr + "/bucket/key")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusServiceUnavailable || resp.Header.Get("Retry-After") == "" {
		t.Errorf("a request while it starts: %d, Retry-After %q", resp.StatusCode, resp.Header.Get("Retry-After"))
	}
	p.signal(syscall.SIGTERM)
	if s := p.wait(); s.Success() {
		t.Error("a start that was cut off counts as a success")
	}
}
