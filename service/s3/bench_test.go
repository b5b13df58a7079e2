package s3_test

import (
	"bytes"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"testing"

	api "github.com/galen-health/galen/aws/s3"
	"github.com/galen-health/galen/platform/blob/blobtest"
)

func BenchmarkPutObject(b *testing.B) {
	for _, n := range []int{4 << 10, 64 << 20} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			w, body := open(b), blobtest.Bytes(1, n)
			w.bucket("bench")
			b.SetBytes(int64(n))
			for b.Loop() {
				if _, err := w.PutObject(root(), &api.PutObjectInput{Bucket: "bench", Key: "k", Body: bytes.NewReader(body), ChecksumAlgorithm: "CRC32"}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkPutObjectParallel(b *testing.B) {
	w, body := open(b), blobtest.Bytes(1, 4<<10)
	w.bucket("bench")
	b.SetBytes(int64(len(body)))
	b.SetParallelism(16)
	var n atomic.Int64
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := w.PutObject(root(), &api.PutObjectInput{Bucket: "bench", Key: fmt.Sprint(n.Add(1)), Body: bytes.NewReader(body), ChecksumAlgorithm: "CRC32"}); err != nil {
				b.Error(err)
			}
		}
	})
}

func BenchmarkGetObject(b *testing.B) {
	for _, n := range []int{4 << 10, 64 << 20} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			w := open(b)
			w.bucket("bench")
			w.put("bench", "k", string(blobtest.Bytes(1, n)))
			b.SetBytes(int64(n))
			for b.Loop() {
				o, err := w.GetObject(root(), &api.GetObjectInput{Bucket: "bench", Key: "k"})
				if err != nil {
					b.Fatal(err)
				}
				if _, err := io.Copy(io.Discard, o.Body); err != nil {
					b.Fatal(err)
				}
				_ = o.Body.Close()
			}
		})
	}
}

// A page of a list costs the same whatever the size of the bucket.
func BenchmarkListPage(b *testing.B) {
	for _, n := range []int{2_000, 30_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			w := open(b)
			w.bucket("bench")
			var wg sync.WaitGroup
			for g := range 32 {
				wg.Go(func() {
					for i := g; i < n; i += 32 {
						w.put("bench", fmt.Sprintf("key %09d", i), "")
					}
				})
			}
			wg.Wait()
			for b.Loop() {
				o, err := w.ListObjectsV2(root(), &api.ListObjectsV2Input{Bucket: "bench", StartAfter: fmt.Sprintf("key %09d", n/2)})
				if err != nil || len(o.Contents) != 1000 && n > 2000 {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkListFolders(b *testing.B) {
	w := open(b)
	w.bucket("bench")
	var wg sync.WaitGroup
	for g := range 32 {
		wg.Go(func() {
			for i := g; i < 20_000; i += 32 {
				w.put("bench", fmt.Sprintf("folder %03d/%03d", i/100, i%100), "")
			}
		})
	}
	wg.Wait()
	for b.Loop() {
		o, err := w.ListObjectsV2(root(), &api.ListObjectsV2Input{Bucket: "bench", Delimiter: "/"})
		if err != nil || len(o.CommonPrefixes) != 200 {
			b.Fatal(err)
		}
	}
}
