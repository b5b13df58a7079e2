package bench

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/galen-health/galen/aws/client"
	"github.com/galen-health/galen/aws/healthlake"
	"github.com/galen-health/galen/test/galen"
	"github.com/galen-health/galen/test/testdata"
)

// synthea reads the public Synthea bundles as transactions of at most 200 PUTs, references resolved.
func synthea(t *testing.T) (bundles [][]byte, resources int, patients []string) {
	t.Helper()
	f, err := os.Open(testdata.Dir(t, "fhir/synthea-r4-patients.tar.gz"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	zr, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	tr := tar.NewReader(zr)
	for {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return bundles, resources, patients
		}
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasSuffix(h.Name, ".json") {
			continue
		}
		var b struct {
			Entry []struct {
				FullURL  string
				Resource json.RawMessage
			}
		}
		if err := json.NewDecoder(tr).Decode(&b); err != nil {
			t.Fatal(err)
		}
		type id struct{ ResourceType, ID string }
		ids, replace := make([]id, len(b.Entry)), []string{}
		for i, e := range b.Entry {
			if err := json.Unmarshal(e.Resource, &ids[i]); err != nil {
				t.Fatal(err)
			}
			replace = append(replace, `"`+e.FullURL+`"`, `"`+ids[i].ResourceType+"/"+ids[i].ID+`"`)
			if ids[i].ResourceType == "Patient" {
				patients = append(patients, ids[i].ID)
			}
		}
		rp := strings.NewReplacer(replace...)
		for lo := 0; lo < len(b.Entry); lo += 200 {
			var out bytes.Buffer
			out.WriteString(`{"resourceType":"Bundle","type":"transaction","entry":[`)
			for i, e := range b.Entry[lo:min(lo+200, len(b.Entry))] {
				if i > 0 {
					out.WriteByte(',')
				}
				var compact bytes.Buffer
				if err := json.Compact(&compact, []byte(rp.Replace(string(e.Resource)))); err != nil {
					t.Fatal(err)
				}
				fmt.Fprintf(&out, `{"resource":%s,"request":{"method":"PUT","url":"%s/%s"}}`, compact.Bytes(), ids[lo+i].ResourceType, ids[lo+i].ID)
				resources++
			}
			out.WriteString("]}")
			bundles = append(bundles, out.Bytes())
		}
	}
}

// datastore makes an active FHIR data store.
func datastore(ctx context.Context, t *testing.T, h *client.HTTP) string {
	t.Helper()
	c := healthlake.NewClient(h)
	made, err := c.CreateFHIRDatastore(ctx, &healthlake.CreateFHIRDatastoreInput{DatastoreTypeVersion: healthlake.FHIRVersionR4})
	if err != nil {
		t.Fatal(err)
	}
	for {
		d, err := c.DescribeFHIRDatastore(ctx, &healthlake.DescribeFHIRDatastoreInput{DatastoreId: made.DatastoreId})
		if err != nil {
			t.Fatal(err)
		}
		if d.DatastoreProperties.DatastoreStatus == healthlake.DatastoreStatusActive {
			return made.DatastoreId
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// parallel runs fn for 0…n-1 on four clients and fails the test on the first error.
func parallel(t *testing.T, n int, fn func(i int) error) {
	t.Helper()
	var wg sync.WaitGroup
	next, failed := make(chan int), make(chan error, 4)
	for range 4 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for i := range next {
				if err := fn(i); err != nil {
					select {
					case failed <- err:
					default:
					}
				}
			}
		}()
	}
	for i := range n {
		next <- i
	}
	close(next)
	wg.Wait()
	select {
	case err := <-failed:
		t.Fatal(err)
	default:
	}
}

func TestFHIR(t *testing.T) {
	ctx := asked(t)
	bundles, resources, patients := synthea(t)
	g := galen.Start(t)
	h := g.Client()
	send := func(store, method, path string, body []byte, want int) error {
		header := map[string]string{}
		if body != nil {
			header["Content-Type"] = "application/fhir+json"
		}
		status, b, err := h.Send(ctx, "healthlake", method, "/datastore/"+store+"/r4/"+path, header, bytes.NewReader(body), 64<<20)
		if err == nil && status != want {
			err = fmt.Errorf("%s %s: status %d: %.300s", method, path, status, b)
		}
		return err
	}
	var load, loadCPU []float64
	store := ""
	for range 3 {
		store = datastore(ctx, t, h)
		cpu, start := g.CPU(), time.Now()
		parallel(t, len(bundles), func(i int) error { return send(store, "POST", "", bundles[i], 200) })
		load = append(load, float64(resources)/time.Since(start).Seconds())
		loadCPU = append(loadCPU, float64(resources)/(g.CPU()-cpu).Seconds())
	}
	row(t, fmt.Sprintf("FHIR transactions, %d Synthea resources, 4 clients", resources), "resources/s", median(load), "", 0)
	row(t, "the same, by server processor time", "resources/CPU-s", median(loadCPU), "", 0)
	measure := func(what string, n int, fn func(i int) error) {
		var perCPU []float64
		for range rounds {
			cpu := g.CPU()
			parallel(t, n, fn)
			perCPU = append(perCPU, float64(n)/(g.CPU()-cpu).Seconds())
		}
		row(t, what, "requests/CPU-s", median(perCPU), "", 0)
	}
	measure("GET Patient/id", 2000, func(i int) error { return send(store, "GET", "Patient/"+patients[i%len(patients)], nil, 200) })
	measure("GET Observation?subject=…&_count=50", 400, func(i int) error {
		return send(store, "GET", "Observation?_count=50&subject=Patient/"+patients[i%len(patients)], nil, 200)
	})
	measure("POST Observation (durable)", 1000, func(i int) error {
		return send(store, "POST", "Observation", fmt.Appendf(nil, `{"resourceType":"Observation","status":"final","code":{"text":"bench"},"subject":{"reference":"Patient/%s"},"valueQuantity":{"value":%d}}`, patients[i%len(patients)], i), 201)
	})
}
