package blobtest

import (
	"bytes"
	"context"
	"crypto/md5" //nolint:gosec // the contract's
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"github.com/galen-health/galen/platform/blob"
	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/key"
)

// Keys is what the suite needs of the key ring that the store under test uses: two keys, and the power to change the state of the second.
type Keys struct {
	First, Second string
	SetEnabled    func(t *testing.T, arn string, on bool)
}

// Bytes are n pseudo-random bytes of a seed.
func Bytes(seed uint64, n int) []byte {
	b := make([]byte, n)
	var s [32]byte
	s[0], s[1] = byte(seed), byte(seed>>8)
	_, _ = rand.NewChaCha8(s).Read(b)
	return b
}

// sizes surround what a back end may treat apart: nothing, small ones, and the edges of segments of 1 MiB.
var sizes = []int{0, 1, 15, 512, 4096, 100_003, 1<<20 - 57, 1<<20 - 56, 1<<20 - 55, 1<<20 - 16, 1 << 20, 2<<20 - 73, 2<<20 - 72, 2<<20 - 71, 3<<20 + 12345}

// Suite runs all tests, each on a store that open makes.
func Suite(t *testing.T, open func(t *testing.T) (blob.Store, Keys)) {
	run := func(name string, f func(*testing.T, blob.Store, Keys)) {
		t.Run(name, func(t *testing.T) {
			s, k := open(t)
			f(t, s, k)
		})
	}
	run("RoundTrip", roundTrip)
	run("Ranges", ranges)
	run("WriterIsInvisibleUntilCommit", invisible)
	run("FailedSourceLeavesNothing", failedSource)
	run("Delete", deletes)
	run("UnknownNames", unknown)
	run("Sweep", sweep)
	run("KeyState", keyState)
	run("Concurrent", concurrent)
}

func put(t *testing.T, s blob.Store, ref key.Ref, b []byte) blob.Info {
	t.Helper()
	in, err := s.Put(t.Context(), ref, bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	return in
}

func read(t *testing.T, s blob.Store, id blob.ID, r blob.Range) []byte {
	t.Helper()
	rc, err := s.Open(t.Context(), id, r)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(rc)
	if err != nil {
		t.Fatal(err)
	}
	if err := rc.Close(); err != nil {
		t.Fatal(err)
	}
	return b
}

func code(t *testing.T, err error, want errs.Code) {
	t.Helper()
	if !errs.Is(err, want) {
		t.Fatalf("error = %v, want %v", err, want)
	}
}

func roundTrip(t *testing.T, s blob.Store, k Keys) {
	for i, n := range sizes {
		want := Bytes(uint64(i), n)
		ref := key.Ref{Key: k.First, Context: map[string]string{"n": fmt.Sprint(n)}}
		in := put(t, s, ref, want)
		if in.Size != int64(n) || in.SHA256 != sha256.Sum256(want) || in.MD5 != md5.Sum(want) || in.KeyARN != k.First || in.Created.IsZero() {
			t.Errorf("%d bytes: info = %+v", n, in)
		}
		w, err := s.Create(t.Context(), ref)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(w, iotest.HalfReader(bytes.NewReader(want))); err != nil {
			t.Fatal(err)
		}
		written, err := w.Commit()
		if err != nil {
			t.Fatal(err)
		}
		w.Abort() // does nothing now
		for _, in := range []blob.Info{in, written} {
			if got := read(t, s, in.ID, blob.All); !bytes.Equal(got, want) {
				t.Errorf("%d bytes: other bytes came back", n)
			}
			st, err := s.Stat(t.Context(), in.ID)
			if err != nil || st != in {
				t.Errorf("stat = %+v, %v, want %+v", st, err, in)
			}
		}
	}
}

func ranges(t *testing.T, s blob.Store, _ Keys) {
	for i, n := range []int{0, 10, 1<<20 - 56, 3<<20 + 12345} {
		want := Bytes(uint64(i), n)
		id := put(t, s, key.Ref{}, want).ID
		ra, err := s.ReaderAt(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		if ra.Size() != int64(n) {
			t.Errorf("size = %d, want %d", ra.Size(), n)
		}
		rng := rand.New(rand.NewPCG(1, uint64(n)))
		for range 80 {
			off := rng.IntN(n + 1)
			length := rng.IntN(n + 1)
			if rng.IntN(2) == 0 {
				length = rng.IntN(100)
			}
			end := min(off+length, n)
			if got := read(t, s, id, blob.Range{Offset: int64(off), Length: int64(length)}); !bytes.Equal(got, want[off:end]) {
				t.Fatalf("%d bytes, range %d+%d: other bytes", n, off, length)
			}
			buf := make([]byte, length)
			got, err := ra.ReadAt(buf, int64(off))
			if !bytes.Equal(buf[:got], want[off:end]) || (got < length) != (err == io.EOF) {
				t.Fatalf("%d bytes, ReadAt %d+%d: %d, %v", n, off, length, got, err)
			}
		}
		if got := read(t, s, id, blob.Range{Offset: int64(n), Length: -1}); len(got) != 0 {
			t.Errorf("%d bytes at the end", len(got))
		}
		if got := read(t, s, id, blob.Range{}); len(got) != 0 {
			t.Errorf("the empty range gave %d bytes", len(got))
		}
		_, err = s.Open(t.Context(), id, blob.Range{Offset: int64(n) + 1, Length: 1})
		code(t, err, errs.OutOfRange)
		_, err = s.Open(t.Context(), id, blob.Range{Offset: -1, Length: 1})
		code(t, err, errs.OutOfRange)
		if err := ra.Close(); err != nil {
			t.Fatal(err)
		}
		if n > 0 {
			if _, err := ra.ReadAt(make([]byte, 1), 0); err == nil {
				t.Error("a closed reader reads")
			}
		}
	}
}

// ids are what the store holds, found by a sweep that keeps all.
func ids(t *testing.T, s blob.Store) map[blob.ID]bool {
	t.Helper()
	m := map[blob.ID]bool{}
	n, err := s.Sweep(t.Context(), time.Now().Add(time.Hour), func(id blob.ID) (bool, error) {
		if m[id] {
			t.Errorf("the sweep asked twice for %s", id)
		}
		m[id] = true
		return true, nil
	})
	if n != 0 || err != nil {
		t.Fatalf("a sweep that keeps all: %d, %v", n, err)
	}
	return m
}

func invisible(t *testing.T, s blob.Store, _ Keys) {
	w, err := s.Create(t.Context(), key.Ref{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(Bytes(1, 3<<20)); err != nil {
		t.Fatal(err)
	}
	if m := ids(t, s); len(m) != 0 {
		t.Errorf("visible before commit: %v", m)
	}
	w.Abort()
	w.Abort()
	if _, err := w.Write([]byte("x")); err == nil {
		t.Error("an aborted writer writes")
	}
	if _, err := w.Commit(); err == nil {
		t.Error("an aborted writer commits")
	}
	if m := ids(t, s); len(m) != 0 {
		t.Errorf("visible after abort: %v", m)
	}
}

func failedSource(t *testing.T, s blob.Store, _ Keys) {
	for _, cause := range []error{errors.New("cut"), io.ErrUnexpectedEOF} {
		for _, n := range []int{0, 100, 3 << 20} {
			_, err := s.Put(t.Context(), key.Ref{}, io.MultiReader(bytes.NewReader(Bytes(1, n)), iotest.ErrReader(cause)))
			if !errors.Is(err, cause) {
				t.Errorf("%d bytes: error = %v, want %v", n, err, cause)
			}
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Put(ctx, key.Ref{}, bytes.NewReader(nil)); err == nil {
		t.Error("a cancelled put succeeded")
	}
	if m := ids(t, s); len(m) != 0 {
		t.Errorf("left behind: %v", m)
	}
}

func deletes(t *testing.T, s blob.Store, _ Keys) {
	a, b := put(t, s, key.Ref{}, []byte("a")).ID, put(t, s, key.Ref{}, []byte("b")).ID
	for range 2 {
		if err := s.Delete(t.Context(), a); err != nil {
			t.Fatal(err)
		}
	}
	_, err := s.Open(t.Context(), a, blob.All)
	code(t, err, errs.NotFound)
	_, err = s.Stat(t.Context(), a)
	code(t, err, errs.NotFound)
	if got := read(t, s, b, blob.All); string(got) != "b" {
		t.Errorf("the other blob is %q", got)
	}
}

func unknown(t *testing.T, s blob.Store, _ Keys) {
	in := put(t, s, key.Ref{}, []byte("x"))
	for _, id := range []blob.ID{"", "x", "00000000000000000000000000000000", "../../etc/passwd", "..", "/", in.ID + "0", in.ID[:31], "tmp",
		"../" + in.ID[:29], blob.ID(bytes.ToUpper([]byte(in.ID))) + "\x00", "ab/../../../../../../../etc/pass"} {
		_, err := s.Open(t.Context(), id, blob.All)
		code(t, err, errs.NotFound)
		_, err = s.ReaderAt(t.Context(), id)
		code(t, err, errs.NotFound)
		if err := s.Delete(t.Context(), id); err != nil {
			t.Errorf("delete %q: %v", id, err)
		}
	}
	read(t, s, in.ID, blob.All)
}

func sweep(t *testing.T, s blob.Store, _ Keys) {
	keep := map[blob.ID]bool{}
	for i := range 20 {
		id := put(t, s, key.Ref{}, []byte{byte(i)}).ID
		if i%2 == 0 {
			keep[id] = true
		}
	}
	asked := func(id blob.ID) (bool, error) { return keep[id], nil }
	if n, err := s.Sweep(t.Context(), time.Now().Add(-time.Hour), asked); n != 0 || err != nil {
		t.Fatalf("young blobs: %d, %v", n, err)
	}
	stop := errors.New("stop")
	if _, err := s.Sweep(t.Context(), time.Now().Add(time.Hour), func(blob.ID) (bool, error) { return false, stop }); !errors.Is(err, stop) {
		t.Fatalf("error = %v", err)
	}
	if n, err := s.Sweep(t.Context(), time.Now().Add(time.Hour), asked); n != 10 || err != nil {
		t.Fatalf("swept %d, %v", n, err)
	}
	if got := ids(t, s); len(got) != len(keep) {
		t.Errorf("left %d", len(got))
	}
	for id := range keep {
		read(t, s, id, blob.All)
	}
}

func keyState(t *testing.T, s blob.Store, k Keys) {
	want := Bytes(1, 3<<20)
	a, b := put(t, s, key.Ref{Key: k.First}, want), put(t, s, key.Ref{Key: k.Second}, want)
	reading, err := s.ReaderAt(t.Context(), b.ID)
	if err != nil {
		t.Fatal(err)
	}
	defer reading.Close() //nolint:errcheck // test
	if _, err := reading.ReadAt(make([]byte, 10), 0); err != nil {
		t.Fatal(err)
	}
	k.SetEnabled(t, k.Second, false)
	_, err = s.Put(t.Context(), key.Ref{Key: k.Second}, bytes.NewReader(want))
	code(t, err, errs.Conflict)
	_, err = s.Open(t.Context(), b.ID, blob.All)
	code(t, err, errs.Conflict)
	_, err = reading.ReadAt(make([]byte, 10), 2<<20)
	code(t, err, errs.Conflict)
	read(t, s, a.ID, blob.All)
	k.SetEnabled(t, k.Second, true)
	if got := read(t, s, b.ID, blob.All); !bytes.Equal(got, want) {
		t.Error("other bytes")
	}
	_, err = s.Put(t.Context(), key.Ref{Key: "no such key"}, bytes.NewReader(want))
	code(t, err, errs.NotFound)
}

func concurrent(t *testing.T, s blob.Store, _ Keys) {
	shared := put(t, s, key.Ref{}, Bytes(99, 2<<20))
	ra, err := s.ReaderAt(t.Context(), shared.ID)
	if err != nil {
		t.Fatal(err)
	}
	defer ra.Close() //nolint:errcheck // test
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for i := range 5 {
				want := Bytes(uint64(g*100+i), 10_000*(g+1)+i)
				in, err := s.Put(t.Context(), key.Ref{}, bytes.NewReader(want))
				if err != nil {
					t.Error(err)
					return
				}
				rc, err := s.Open(t.Context(), in.ID, blob.All)
				if err != nil {
					t.Error(err)
					return
				}
				got, err := io.ReadAll(rc)
				if err != nil || !bytes.Equal(got, want) {
					t.Errorf("other bytes, %v", err)
				}
				_ = rc.Close()
				p := make([]byte, 1000)
				off := (g*5 + i) * 40_000
				if _, err := ra.ReadAt(p, int64(off)); err != nil || !bytes.Equal(p, Bytes(99, 2<<20)[off:off+1000]) {
					t.Errorf("shared reader: %v", err)
				}
			}
		}()
	}
	wg.Wait()
}
