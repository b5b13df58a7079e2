package bench

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"

	"github.com/galen-health/galen/aws/s3"
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

// TestCostOfSafety profiles the real server under small FHIR reads, durable FHIR writes and S3 objects, and tells which share of its processor time
// encryption, audit and authorisation take.
func TestCostOfSafety(t *testing.T) {
	ctx := asked(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	admin := l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	g := galen.Start(t, "--admin-addr", admin)
	h := g.Client()
	store := datastore(ctx, t, h)
	fhir := func(method, path string, body []byte, want int) error {
		header := map[string]string{"Content-Type": "application/fhir+json"}
		status, b, err := h.Send(ctx, "healthlake", method, "/datastore/"+store+"/r4/"+path, header, bytes.NewReader(body), 1<<20)
		if err == nil && status != want {
			err = fmt.Errorf("%s %s: status %d: %.300s", method, path, status, b)
		}
		return err
	}
	objects := s3.NewClient(h)
	if _, err := objects.CreateBucket(ctx, &s3.CreateBucketInput{Bucket: "cost"}); err != nil {
		t.Fatal(err)
	}
	body := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
	put := func(i int) error {
		_, err := objects.PutObject(ctx, &s3.PutObjectInput{Bucket: "cost", Key: strconv.Itoa(i % 20), Body: bytes.NewReader(body)})
		return err
	}
	get := func(i int) error {
		out, err := objects.GetObject(ctx, &s3.GetObjectInput{Bucket: "cost", Key: strconv.Itoa(i % 20)})
		if err != nil {
			return err
		}
		defer out.Body.Close()
		_, err = io.Copy(io.Discard, out.Body)
		return err
	}
	patient := []byte(`{"resourceType":"Patient","id":"p","name":[{"family":"Bench","given":["Ada"]}],"birthDate":"1970-01-01","gender":"female"}`)
	if err := fhir("PUT", "Patient/p", patient, 201); err != nil {
		t.Fatal(err)
	}
	parallel(t, 20, put)
	for _, load := range []struct {
		what string
		fn   func(i int) error
	}{
		{"GET Patient/id", func(int) error { return fhir("GET", "Patient/p", nil, 200) }},
		{"POST Observation (durable)", func(i int) error {
			return fhir("POST", "Observation", fmt.Appendf(nil, `{"resourceType":"Observation","status":"final","code":{"text":"bench"},"subject":{"reference":"Patient/p"},"valueQuantity":{"value":%d}}`, i), 201)
		}},
		{"PUT object of 1 MiB", put},
		{"GET object of 1 MiB", get},
	} {
		profile := filepath.Join(t.TempDir(), "profile")
		fetched := make(chan error, 1)
		go func() { fetched <- fetch(ctx, "http://"+admin+"/debug/pprof/profile?seconds=8", profile) }()
		for done := false; !done; {
			parallel(t, 100, load.fn)
			select {
			case err := <-fetched:
				if done = true; err != nil {
					t.Fatal(err)
				}
			default:
			}
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
