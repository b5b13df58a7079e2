package bench

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"
	"time"

	"github.com/galen-health/galen/aws/s3"
	"github.com/galen-health/galen/aws/sigv4"
	"github.com/galen-health/galen/test/flood"
	"github.com/galen-health/galen/test/galen"
)

// costs are what safety takes: calls below these functions, wherever they run. They share no function, and nothing of them is switched off: a server
// without them would be another server.
var costs = []struct{ what, below string }{
	{"encryption", `crypto/cipher|crypto/aes|crypto/internal/fips140/aes|tink-go|pebble\.\(\*cryptFile\)\.crypt|pebble\.(un)?seal$`},
	{"audit", `galen/platform/audit\.|transparency-dev/tessera`},
	{"authorisation", `galen/platform/authz\.|edge\.\(\*visit\)\.(authorise|allow)$`},
	{"authentication (SigV4)", `galen/aws/sigv4\.`},
}

// load is one kind of request to a server.
type load struct {
	what string
	*flood.Requests
}

// loads prepares a server for small FHIR reads, durable FHIR writes and S3 objects.
func loads(ctx context.Context, t *testing.T, g *galen.Server) (list []load) {
	t.Helper()
	h := g.Client()
	r4 := "/datastore/" + datastore(ctx, t, h) + "/r4/"
	if _, err := s3.NewClient(h).CreateBucket(ctx, &s3.CreateBucketInput{Bucket: "cost"}); err != nil {
		t.Fatal(err)
	}
	fhir := http.Header{"Content-Type": {"application/fhir+json"}}
	patient := []byte(`{"resourceType":"Patient","id":"p","name":[{"family":"Bench","given":["Ada"]}],"birthDate":"1970-01-01","gender":"female"}`)
	if status, b, err := h.Send(ctx, "healthlake", "PUT", r4+"Patient/p", map[string]string{"Content-Type": fhir.Get("Content-Type")}, bytes.NewReader(patient), 1<<20); err != nil || status != 201 {
		t.Fatal(status, err, string(b))
	}
	observation := []byte(`{"resourceType":"Observation","status":"final","code":{"text":"bench"},"subject":{"reference":"Patient/p"},"valueQuantity":{"value":7}}`)
	var objects []string
	for i := range 20 {
		objects = append(objects, "/cost/"+strconv.Itoa(i))
	}
	body := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
	add := func(what, service, method string, header http.Header, body []byte, status int, paths ...string) {
		var all []*http.Request
		for _, p := range paths {
			r, err := http.NewRequestWithContext(ctx, method, g.URL+p, bytes.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			if header != nil {
				r.Header = header.Clone()
			}
			all = append(all, r)
		}
		requests, err := flood.Prepare(g.URL, service, galen.Region, sigv4.Credentials{AccessKeyID: galen.AccessKeyID, SecretAccessKey: galen.SecretAccessKey}, flood.Only(status), all...)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, load{what, requests})
	}
	add("GET Patient/id", "healthlake", "GET", fhir, nil, 200, r4+"Patient/p")
	add("POST Observation (durable)", "healthlake", "POST", fhir, observation, 201, r4+"Observation")
	add("PUT object of 1 MiB", "s3", "PUT", nil, body, 200, objects...)
	add("GET object of 1 MiB", "s3", "GET", nil, nil, 200, objects...)
	return list
}

// connections are enough to keep a server busy: what it does with its processors, not how long one request waits for the disk, bounds its throughput.
const connections = 128

// TestCostOfSafety measures the throughput of servers that lack encryption, audit or authorisation beside that of galen, turn by turn.
func TestCostOfSafety(t *testing.T) {
	ctx := asked(t)
	whole := galen.Start(t)
	servers := [][]load{loads(ctx, t, whole)}
	for _, w := range without {
		g := galen.New(t, t.TempDir())
		g.Path = build(t, w.cuts)
		g.Run()
		servers = append(servers, loads(ctx, t, g))
	}
	for i, l := range servers[0] {
		rates := make([][]float64, len(servers))
		for range rounds {
			for s := range servers {
				run, stop := context.WithTimeout(ctx, 2*time.Second)
				rate, err := servers[s][i].Run(run, connections)
				if stop(); err != nil {
					t.Fatal(err)
				}
				rates[s] = append(rates[s], rate)
			}
		}
		for s, w := range without {
			with, lacking := median(rates[0]), median(rates[s+1])
			t.Logf("| %s: %s | %.0f requests/s | without %.0f requests/s | costs %.1f %% |", l.what, w.what, with, lacking, 100*(1-with/lacking))
		}
	}
}

// TestShareOfSafety profiles the real server under the same loads, and tells which share of its own processor time each part takes.
func TestShareOfSafety(t *testing.T) {
	ctx := asked(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	admin := l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	for _, load := range loads(ctx, t, galen.Start(t, "--admin-addr", admin)) {
		profile := filepath.Join(t.TempDir(), "profile")
		run, stop := context.WithCancel(ctx)
		fetched := make(chan error, 1)
		go func() {
			fetched <- fetch(ctx, "http://"+admin+"/debug/pprof/profile?seconds=8", profile)
			stop()
		}()
		_, err := load.Run(run, connections)
		if err := errors.Join(err, <-fetched); err != nil {
			t.Fatal(err)
		}
		for _, c := range costs {
			t.Logf("| %s: %s | %.1f %% of the server's processor time | – | – |", load.what, c.what, share(t, profile, c.below))
		}
	}
}

func fetch(ctx context.Context, url, file string) error {
	r, err := http.NewRequestWithContext(ctx, "GET", url, nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	return os.WriteFile(file, b, 0o600)
}

var percent = regexp.MustCompile(`Showing nodes accounting for \S+, ([0-9.]+)% of`)

// share is how much of a profile lies below functions, in percent.
func share(t *testing.T, profile, below string) float64 {
	t.Helper()
	out, err := exec.Command("go", "tool", "pprof", "-top", "-nodefraction=0", "-edgefraction=0", "-nodecount=100000", "-focus="+below, profile).CombinedOutput()
	if err != nil {
		t.Fatalf("go tool pprof: %v\n%s", err, out)
	}
	m := percent.FindSubmatch(out)
	if m == nil {
		return 0 // no sample lies below them
	}
	v, err := strconv.ParseFloat(string(m[1]), 64)
	if err != nil {
		t.Fatal(err)
	}
	return v
}
