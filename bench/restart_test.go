package bench

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/galen-health/galen/test/galen"
)

// TestRestart measures how long a server with many resources takes until it is ready again after SIGKILL in the middle of writes. GALEN_BENCH_RESOURCES is how
// many (100,000).
func TestRestart(t *testing.T) {
	ctx := asked(t)
	n, err := strconv.Atoi(os.Getenv("GALEN_BENCH_RESOURCES"))
	if err != nil {
		n = 100_000
	}
	g := galen.Start(t, "--log-level", "warn")
	h := g.Client()
	store := datastore(ctx, t, h)
	const each = 500
	bundle := func(from int) error {
		var b bytes.Buffer
		b.WriteString(`{"resourceType":"Bundle","type":"transaction","entry":[`)
		for i := range each {
			if i > 0 {
				b.WriteByte(',')
			}
			fmt.Fprintf(&b, `{"resource":{"resourceType":"Observation","status":"final","code":{"coding":[{"system":"http://loinc.org","code":"%d"}]},"subject":{"reference":"Patient/%d"},`+
				`"effectiveDateTime":"2020-01-01T00:00:%02dZ","valueQuantity":{"value":%d,"unit":"mg"}},"request":{"method":"POST","url":"Observation"}}`, i%97, from/each%1000, i%60, from+i)
		}
		b.WriteString("]}")
		status, answer, err := h.Send(ctx, "healthlake", "POST", "/datastore/"+store+"/r4/", map[string]string{"Content-Type": "application/fhir+json"}, &b, 8<<20)
		if err == nil && status != 200 {
			err = fmt.Errorf("status %d: %.300s", status, answer)
		}
		return err
	}
	parallel(t, n/each, func(i int) error { return bundle(i * each) })
	var took []float64
	for range 5 {
		going := make(chan struct{})
		go func() {
			defer close(going)
			for i := 0; bundle(n+i*each) == nil; i++ {
			}
		}()
		time.Sleep(500 * time.Millisecond)
		g.Kill()
		<-going
		began := time.Now()
		g.Run()
		took = append(took, time.Since(began).Seconds())
	}
	var size int64
	err = filepath.Walk(g.Dir, func(_ string, f os.FileInfo, err error) error {
		if err == nil && f.Mode().IsRegular() {
			size += f.Size()
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("| ready after SIGKILL, %d FHIR resources, %d MiB | %.2f s | – | – |", n, size>>20, median(took))
}
