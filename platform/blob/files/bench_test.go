package files_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"testing"

	"github.com/galen-health/galen/platform/blob"
	"github.com/galen-health/galen/platform/blob/blobtest"
	"github.com/galen-health/galen/platform/blob/files"
	"github.com/galen-health/galen/platform/disk/disktest"
	"github.com/galen-health/galen/platform/key"
	"github.com/galen-health/galen/platform/key/keyring"
)

func benchStore(b *testing.B) *files.Store {
	r, err := keyring.OpenFS(disktest.NewMem(), nil, keyring.Config{})
	if err != nil {
		b.Fatal(err)
	}
	s, err := files.Open(b.TempDir(), r)
	if err != nil {
		b.Fatal(err)
	}
	return s
}

func BenchmarkPut(b *testing.B) {
	for _, n := range []int{4 << 10, 1 << 20, 64 << 20} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			s, body := benchStore(b), blobtest.Bytes(1, n)
			b.SetBytes(int64(n))
			for b.Loop() {
				in, err := s.Put(context.Background(), key.Ref{}, bytes.NewReader(body))
				if err != nil {
					b.Fatal(err)
				}
				b.StopTimer()
				_ = s.Delete(context.Background(), in.ID)
				b.StartTimer()
			}
		})
	}
}

func BenchmarkGet(b *testing.B) {
	for _, n := range []int{4 << 10, 1 << 20, 64 << 20} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			s := benchStore(b)
			in, err := s.Put(context.Background(), key.Ref{}, bytes.NewReader(blobtest.Bytes(1, n)))
			if err != nil {
				b.Fatal(err)
			}
			b.SetBytes(int64(n))
			for b.Loop() {
				rc, err := s.Open(context.Background(), in.ID, blob.All)
				if err != nil {
					b.Fatal(err)
				}
				if _, err := io.Copy(io.Discard, rc); err != nil {
					b.Fatal(err)
				}
				_ = rc.Close()
			}
		})
	}
}
