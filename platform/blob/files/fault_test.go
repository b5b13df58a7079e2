package files_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/galen-health/galen/platform/blob"
	"github.com/galen-health/galen/platform/blob/blobtest"
	"github.com/galen-health/galen/platform/blob/files"
	"github.com/galen-health/galen/platform/disk/disktest"
	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/key"
	"github.com/galen-health/galen/platform/key/keyring"
)

func open(t *testing.T, d interface {
	Close() error
}, r *keyring.Ring) *files.Store {
	t.Helper()
	var s *files.Store
	var err error
	switch d := d.(type) {
	case *disktest.Mem:
		s, err = files.OpenFS(d, r)
	case *disktest.Fault:
		s, err = files.OpenFS(d, r)
	}
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// all reads a blob; whatever it returns without an error is compared.
func all(s *files.Store, id blob.ID) ([]byte, error) {
	rc, err := s.Open(context.Background(), id, blob.All)
	if err != nil {
		return nil, err
	}
	defer rc.Close() //nolint:errcheck // test
	return io.ReadAll(rc)
}

// A power cut at any moment: what was acknowledged is whole, everything else is whole or absent. GALEN_CRASH_CUTS sets the number of moments (200).
func TestPowerCut(t *testing.T) {
	r := ring(t)
	m := disktest.NewMem()
	s := open(t, m, r)
	acked := map[blob.ID][]byte{}
	tried := map[string]bool{}
	states, lost, torn := 0, 0, 0
	crash := func(percent int, rng *rand.Rand) {
		states++
		after := open(t, m.Crash(percent, rng), r)
		for id, want := range acked {
			if got, err := all(after, id); err != nil || !bytes.Equal(got, want) {
				lost++
				t.Errorf("an acknowledged blob is lost: %v", err)
			}
		}
		_, _, err := after.Verify(context.Background(), func(err error) { torn++; t.Errorf("torn: %v", err) })
		if err != nil {
			t.Fatal(err)
		}
		_, err = after.Sweep(context.Background(), time.Now().Add(time.Hour), func(id blob.ID) (bool, error) {
			if got, err := all(after, id); err != nil || !tried[string(got)] {
				t.Errorf("blob %s was never written so: %v", id, err)
			}
			return true, nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	rng := rand.New(rand.NewPCG(1, 2))
	for i := range disktest.Rounds(t, disktest.Cuts, 200) / 5 {
		want := blobtest.Bytes(uint64(i), rng.IntN(70_000))
		tried[string(want)] = true
		w, err := s.Create(t.Context(), key.Ref{})
		if err != nil {
			t.Fatal(err)
		}
		for _, part := range [][]byte{want[:len(want)/2], want[len(want)/2:]} {
			if _, err := w.Write(part); err != nil {
				t.Fatal(err)
			}
			crash(rng.IntN(101), rng)
		}
		in, err := w.Commit()
		if err != nil {
			t.Fatal(err)
		}
		acked[in.ID] = want
		for _, percent := range []int{0, 50, 100} {
			crash(percent, rng)
		}
		if i%5 == 4 || len(acked) > 20 {
			for id := range acked {
				if err := s.Delete(t.Context(), id); err != nil {
					t.Fatal(err)
				}
				delete(acked, id) // it may be back after a crash, whole
				break
			}
		}
	}
	t.Logf("%d crash states: %d lost, %d torn", states, lost, torn)
}

// Every operation of a write fails once with a full disk: an error, nothing visible, and the next write succeeds.
func TestDiskFull(t *testing.T) {
	for n := 1; ; n++ {
		f := &disktest.Fault{FS: disktest.NewMem(), Ops: disktest.Writes, Err: syscall.ENOSPC}
		s := open(t, f, ring(t))
		f.Arm(n)
		want := blobtest.Bytes(1, 3<<20)
		in, err := s.Put(t.Context(), key.Ref{}, bytes.NewReader(want))
		if !f.Fired() {
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("%d places failed", n-1)
			if n < 5 {
				t.Errorf("only %d places could fail", n-1)
			}
			return
		}
		if !errs.Is(err, errs.Unavailable) || !strings.Contains(errs.As(err).Message, "full") || in.ID != "" {
			t.Errorf("place %d: %+v, %v", n, in, err)
		}
		swept, _ := s.Sweep(t.Context(), time.Now().Add(time.Hour), func(blob.ID) (bool, error) { return false, nil })
		left, err := f.List("tmp")
		if swept != 0 || len(left) != 0 || err != nil {
			t.Errorf("place %d: %d visible, %d temporary, %v", n, swept, len(left), err)
		}
		if in, err = s.Put(t.Context(), key.Ref{}, bytes.NewReader(want)); err != nil {
			t.Errorf("place %d: with space again: %v", n, err)
		} else if got, err := all(s, in.ID); err != nil || !bytes.Equal(got, want) {
			t.Errorf("place %d: %v", n, err)
		}
	}
}

// A failed sync is never retried: the write fails, and so does every later one, until a restart. Reads go on.
func TestFailedSyncStopsWrites(t *testing.T) {
	for n := 1; n <= 2; n++ {
		m := disktest.NewMem()
		r := ring(t)
		f := &disktest.Fault{FS: m, Ops: disktest.Syncs, Err: syscall.EIO}
		s := open(t, f, r)
		old, err := s.Put(t.Context(), key.Ref{}, strings.NewReader("old"))
		if err != nil {
			t.Fatal(err)
		}
		f.Arm(n)
		if _, err := s.Put(t.Context(), key.Ref{}, strings.NewReader("new")); !errs.Is(err, errs.Unavailable) || !f.Fired() {
			t.Errorf("sync %d: %v", n, err)
		}
		if _, err := s.Put(t.Context(), key.Ref{}, strings.NewReader("next")); !errs.Is(err, errs.Unavailable) {
			t.Errorf("the write after failed sync %d: %v", n, err)
		}
		if got, err := all(s, old.ID); err != nil || string(got) != "old" {
			t.Errorf("reading after failed sync %d: %v", n, err)
		}
		s = open(t, m, r)
		if _, err := s.Put(t.Context(), key.Ref{}, strings.NewReader("next")); err != nil {
			t.Errorf("after a restart: %v", err)
		}
	}
}

func TestFailedReadIsNoCorruption(t *testing.T) {
	f := &disktest.Fault{FS: disktest.NewMem(), Ops: disktest.Read, Err: syscall.EIO}
	s := open(t, f, ring(t))
	in, err := s.Put(t.Context(), key.Ref{}, strings.NewReader("x"))
	if err != nil {
		t.Fatal(err)
	}
	for n := 1; n <= 2; n++ {
		f.Arm(n)
		if _, err := all(s, in.ID); !errs.Is(err, errs.Unavailable) || !errors.Is(err, syscall.EIO) {
			t.Errorf("read %d: %v", n, err)
		}
	}
}

// Every single flipped bit, every cut and every other name is found, and no wrong byte is ever served. All bits of a small blob, and 100 of a large one or
// $GALEN_CRASH_FLIPS.
func TestDamage(t *testing.T) {
	dir := t.TempDir()
	r := ring(t)
	s, err := files.Open(dir, r)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close() //nolint:errcheck // test
	want := blobtest.Bytes(7, 3<<20)
	small, err := s.Put(t.Context(), key.Ref{Context: map[string]string{"tenant": "a"}}, strings.NewReader("0123456789"))
	if err != nil {
		t.Fatal(err)
	}
	big, err := s.Put(t.Context(), key.Ref{}, bytes.NewReader(want))
	if err != nil {
		t.Fatal(err)
	}
	path := func(id blob.ID) string { return filepath.Join(dir, string(id[:2]), string(id)) }
	verify := func(id blob.ID, what string) {
		t.Helper()
		found := 0
		_, _, err := s.Verify(t.Context(), func(err error) {
			if strings.Contains(err.Error(), string(id)) {
				found++
			}
		})
		if found != 1 || err != nil {
			t.Errorf("%s: verify found %d faults, %v", what, found, err)
		}
	}
	whole, err := os.ReadFile(path(small.ID))
	if err != nil {
		t.Fatal(err)
	}
	flips := 0
	flip := func(id blob.ID, content, want []byte, bit int) {
		t.Helper()
		flips++
		content[bit/8] ^= 1 << (bit % 8)
		if err := os.WriteFile(path(id), content, 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := all(s, id)
		if !errs.Is(err, errs.Corrupt) || !bytes.HasPrefix(want, got) {
			t.Errorf("bit %d: %d bytes, %v", bit, len(got), err)
		}
		content[bit/8] ^= 1 << (bit % 8)
	}
	for bit := range len(whole) * 8 {
		flip(small.ID, whole, []byte("0123456789"), bit)
	}
	verify(small.ID, "flipped bit")
	for n := range len(whole) {
		if err := os.WriteFile(path(small.ID), whole[:n], 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := all(s, small.ID); !errs.Is(err, errs.Corrupt) || len(got) > 0 {
			t.Errorf("cut to %d: %q, %v", n, got, err)
		}
	}
	verify(small.ID, "cut")
	if err := os.WriteFile(path(small.ID), append(bytes.Clone(whole), 0), 0o600); err != nil {
		t.Fatal(err)
	}
	verify(small.ID, "longer")

	whole, err = os.ReadFile(path(big.ID))
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(3, 4))
	for range disktest.Rounds(t, disktest.Flips, 100) {
		flip(big.ID, whole, want, rng.IntN(len(whole)*8))
	}
	for _, n := range []int{len(whole) - 1, len(whole) - 1<<20, 2 << 20, 1<<20 + 512} {
		if err := os.WriteFile(path(big.ID), whole[:n], 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := all(s, big.ID); !errs.Is(err, errs.Corrupt) || !bytes.HasPrefix(want, got) {
			t.Errorf("cut to %d: %v", n, err)
		}
	}
	// Two segments change places.
	swapped := bytes.Clone(whole)
	at := len(whole) - int(3<<20)
	copy(swapped[at:at+100], whole[at+1<<20:])
	if err := os.WriteFile(path(big.ID), swapped, 0o600); err != nil {
		t.Fatal(err)
	}
	verify(big.ID, "swapped")
	// A blob under another blob's name.
	if err := os.WriteFile(path(small.ID), whole, 0o600); err != nil {
		t.Fatal(err)
	}
	verify(small.ID, "renamed")
	// A file that is no blob.
	if err := os.WriteFile(filepath.Join(dir, "00", "stray"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	stray := 0
	if _, _, err := s.Verify(t.Context(), func(err error) {
		if strings.Contains(err.Error(), "stray") {
			stray++
		}
	}); err != nil || stray != 1 {
		t.Errorf("stray file: %d, %v", stray, err)
	}
	t.Logf("%d flipped bits found", flips)
}

// Nothing of what was stored is on disk in the clear, and after the key is destroyed nothing opens.
func TestNothingInTheClearAndShredded(t *testing.T) {
	keyDir, blobDir := t.TempDir(), t.TempDir()
	r, err := keyring.Open(keyDir, nil, keyring.Config{})
	if err != nil {
		t.Fatal(err)
	}
	s, err := files.Open(blobDir, r)
	if err != nil {
		t.Fatal(err)
	}
	canary := bytes.Repeat([]byte("CANARY-patient-4711 "), 100_000)
	arn, err := r.CreateOwned(t.Context(), "store 1")
	if err != nil {
		t.Fatal(err)
	}
	in, err := s.Put(t.Context(), key.Ref{Key: arn}, bytes.NewReader(canary))
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	err = filepath.WalkDir(blobDir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		if bytes.Contains(b, canary[:12]) {
			t.Errorf("%s holds plaintext", path)
		}
		n++
		return err
	})
	if err != nil || n != 2 { // the blob and the lock
		t.Fatalf("%d files, %v", n, err)
	}
	if err := r.DestroyOwned(t.Context(), arn); err != nil {
		t.Fatal(err)
	}
	if _, err := all(s, in.ID); !errs.Is(err, errs.NotFound) {
		t.Errorf("after shredding: %v", err)
	}
	blobs, unreadable, err := s.Verify(t.Context(), func(err error) { t.Error(err) })
	if blobs != 1 || unreadable != 1 || err != nil {
		t.Errorf("verify: %d, %d, %v", blobs, unreadable, err)
	}
}
