package medicalimaging

import (
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"

	api "github.com/galen-health/galen/aws/medicalimaging"
	"github.com/galen-health/galen/standard/dicom"
)

// scan makes a CT slice of 512 by 512 with structure and the noise of a scanner.
func scan(n int) []byte {
	r := rand.New(rand.NewPCG(42, uint64(n)))
	return slice(study1, series1, n, func(d *dicom.Dataset) {
		d.SetInts(dicom.TagRows, dicom.US, 512)
		d.SetInts(dicom.TagColumns, dicom.US, 512)
		px := make([]byte, 2*512*512)
		for y := range 512 {
			for x := range 512 {
				v := 24
				dx, dy := float64(x-256)/218, float64(y-256)/166
				if q := dx*dx + dy*dy; q < 1 {
					v = 1064 + int(300*q) + ((x/40+y/50+n/9)%4)*120
				}
				v = max(0, min(4095, v+int(r.NormFloat64()*12)))
				binary.LittleEndian.PutUint16(px[2*(y*512+x):], uint16(v))
			}
		}
		d.Set(dicom.Element{Tag: dicom.TagPixelData, VR: dicom.OW, Value: px})
	})
}

// each runs fn n times from c clients.
func each(c, n int, fn func(i int)) {
	var next atomic.Int64
	var wg sync.WaitGroup
	for range c {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				fn(i)
			}
		})
	}
	wg.Wait()
}

func BenchmarkStore(b *testing.B) {
	l := newLab(b)
	l.create(&api.CreateDatastoreInput{})
	files := make([][]byte, b.N)
	for i := range files {
		files[i] = scan(i + 1)
	}
	b.SetBytes(int64(len(files[0])))
	b.ResetTimer()
	each(4, b.N, func(i int) {
		if a := l.put(files[i]); a.status != 200 {
			b.Errorf("%d %s", a.status, a.body)
		}
	})
}

func BenchmarkRead(b *testing.B) {
	l := newLab(b)
	l.create(&api.CreateDatastoreInput{})
	const n = 200
	for i := range n {
		l.mustPut(scan(i + 1))
	}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { l.mux.ServeHTTP(w, r.WithContext(l.Ctx)) }))
	defer srv.Close()
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 8, DisableCompression: true}}
	root := srv.URL + "/datastore/" + l.store
	series := root + "/studies/" + study1 + "/series/" + series1
	for _, c := range []struct{ name, url, accept string }{
		{"frame stored", series + "/instances/" + series1 + ".%d/frames/1", "image/jphc"},
		{"frame decoded", series + "/instances/" + series1 + ".%d/frames/1", "application/octet-stream"},
		{"instance stored", series + "/instances/" + series1 + ".%d", "application/dicom; transfer-syntax=*"},
		{"instance metadata", series + "/instances/" + series1 + ".%d/metadata", ""},
		{"query studies", root + "/studies?PatientID=P1", ""},
		{"query instances of series", series + "/instances", ""},
		{"series metadata", series + "/metadata", ""},
	} {
		for _, clients := range []int{1, 4} {
			b.Run(fmt.Sprintf("%s/%d", c.name, clients), func(b *testing.B) {
				each(clients, b.N, func(i int) {
					url := c.url
					if c.name[:4] != "quer" && c.name != "series metadata" {
						url = fmt.Sprintf(c.url, i%n+1)
					}
					r, _ := http.NewRequest("GET", url, nil)
					if c.accept != "" {
						r.Header.Set("Accept", c.accept)
					}
					res, err := client.Do(r)
					if err != nil {
						b.Error(err)
						return
					}
					if res.StatusCode != 200 {
						b.Error(res.Status)
					}
					k, _ := discard(res)
					b.SetBytes(k)
				})
			})
		}
	}
}

func discard(res *http.Response) (int64, error) {
	defer res.Body.Close()
	return io.Copy(io.Discard, res.Body)
}
