package keyring_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/galen-health/galen/platform/disk"
	"github.com/galen-health/galen/platform/disk/disktest"
	"github.com/galen-health/galen/platform/errs"
	"github.com/galen-health/galen/platform/key"
	"github.com/galen-health/galen/platform/key/keyring"
)

var root = bytes.Repeat([]byte{7}, 32)

func TestAnotherRootKeyIsRefusedAndNothingIsWritten(t *testing.T) {
	dir := t.TempDir()
	r, _ := open(t, dir, root)
	dk := dataKey(t, r, "", nil)
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	before := files(t, dir)
	for _, wrong := range [][]byte{bytes.Repeat([]byte{8}, 32), nil} {
		_, err := keyring.Open(dir, wrong, keyring.Config{})
		refused(t, err, errs.Invalid)
		if !strings.Contains(err.Error(), "root key") {
			t.Errorf("error = %v", err)
		}
	}
	if _, err := keyring.Open(dir, root[:31], keyring.Config{}); err == nil {
		t.Error("a short root key was taken")
	}
	for name, b := range files(t, dir) {
		if !bytes.Equal(b, before[name]) {
			t.Errorf("%s changed", name)
		}
	}
	r, _ = open(t, dir, root)
	opens(t, r, dk, nil)
}

// files reads a folder.
func files(t *testing.T, dir string) map[string][]byte {
	t.Helper()
	m := map[string][]byte{}
	list, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range list {
		b, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		m[e.Name()] = b
	}
	return m
}

func TestFilesAreTheOwnersOnlyAndSealed(t *testing.T) {
	dir := t.TempDir()
	r, _ := open(t, dir, nil)
	dk := dataKey(t, r, create(t, r), nil)
	if err := r.SetAlias("alias/canary", dk.KeyARN, true); err != nil {
		t.Fatal(err)
	}
	for name, b := range files(t, dir) {
		st, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if name != "LOCK" && st.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v", name, st.Mode())
		}
		if bytes.Contains(b, dk.Plain) || bytes.Contains(b, []byte("canary")) {
			t.Errorf("%s holds plaintext", name)
		}
	}
}

// 200 flipped bits in each copy, or $GALEN_CRASH_FLIPS, and cuts.
func TestOneDamagedCopyIsMended(t *testing.T) {
	for _, name := range []string{"ring.a", "ring.b"} {
		dir := t.TempDir()
		r, _ := open(t, dir, root)
		dk := dataKey(t, r, create(t, r), nil)
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, name)
		whole := files(t, dir)[name]
		damage := map[string][]byte{"empty": {}, "cut": whole[:len(whole)-1], "longer": append(bytes.Clone(whole), 0), "gone": nil}
		flips := disktest.Rounds(t, disktest.Flips, 200)
		for i := range flips {
			b := bytes.Clone(whole)
			bit := rand.IntN(len(b) * 8)
			b[bit/8] ^= 1 << (bit % 8)
			damage[fmt.Sprint("bit ", i)] = b
		}
		for what, b := range damage {
			if b == nil {
				_ = os.Remove(path)
			} else if err := os.WriteFile(path, b, 0o600); err != nil {
				t.Fatal(err)
			}
			if _, faults := keyring.Verify(dir, root); len(faults) != 1 || !strings.Contains(faults[0].Error(), name) {
				t.Errorf("%s: verify says %v", what, faults)
			}
			r, _ := open(t, dir, root)
			if len(r.Faults()) != 1 {
				t.Errorf("%s: faults %v", what, r.Faults())
			}
			opens(t, r, dk, nil)
			if err := r.Close(); err != nil {
				t.Fatal(err)
			}
			if keys, faults := keyring.Verify(dir, root); keys != 2 || len(faults) != 0 {
				t.Errorf("%s: after mending: %d keys, %v", what, keys, faults)
			}
		}
		t.Logf("%s: %d flipped bits found and mended", name, flips)
	}
}

func TestTwoDamagedCopiesAreAnError(t *testing.T) {
	dir := t.TempDir()
	r, _ := open(t, dir, root)
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	for name, b := range files(t, dir) {
		if strings.HasPrefix(name, "ring.") {
			b[len(b)-1] ^= 1
			if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	_, err := keyring.Open(dir, root, keyring.Config{})
	refused(t, err, errs.Corrupt)
	if _, faults := keyring.Verify(dir, root); len(faults) != 2 {
		t.Errorf("verify says %v", faults)
	}
	_, err = keyring.Open(dir, root, keyring.Config{}) // and nothing was mended
	refused(t, err, errs.Corrupt)
}

func TestOneProcessAtATime(t *testing.T) {
	dir := t.TempDir()
	open(t, dir, root)
	_, err := keyring.Open(dir, root, keyring.Config{})
	refused(t, err, errs.Unavailable)
}

// A power cut at any moment, while a change is written too, keeps every acknowledged change; a destroyed key never comes back. 400 cuts, or $GALEN_CRASH_CUTS.
func TestPowerCut(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	states, cuts := 0, disktest.Rounds(t, disktest.Cuts, 400)
	for states < cuts {
		states += powerCuts(t, rng)
	}
	t.Logf("%d crash states, 0 lost", states)
}

// cutter is a disk that is cloned, as a power cut leaves it, after every operation.
type cutter struct {
	*disktest.Mem
	rng    *rand.Rand
	clones []*disktest.Mem
}

func (c *cutter) cut() {
	c.clones = append(c.clones, c.Crash([]int{0, 30, 100}[c.rng.IntN(3)], c.rng))
}

func (c *cutter) Create(name string) (disk.File, error) {
	f, err := c.Mem.Create(name)
	c.cut()
	return f, err
}

func (c *cutter) Rename(from, to string) error {
	err := c.Mem.Rename(from, to)
	c.cut()
	return err
}

func (c *cutter) SyncDir(dir string) error {
	c.cut()
	err := c.Mem.SyncDir(dir)
	c.cut()
	return err
}

// powerCuts makes and destroys keys on one disk and returns how many crash states it looked at.
func powerCuts(t *testing.T, rng *rand.Rand) (states int) {
	m := &cutter{Mem: disktest.NewMem(), rng: rng}
	r, err := keyring.OpenFS(m, nil, keyring.Config{})
	if err != nil {
		t.Fatal(err)
	}
	type made struct {
		dk        key.DataKey
		destroyed bool
	}
	var acked []made
	var changing string // the key whose destruction is under way: it is there or not
	check := func() {
		for _, clone := range m.clones {
			states++
			after, err := keyring.OpenFS(clone, nil, keyring.Config{})
			if err != nil {
				t.Fatal(err)
			}
			for _, k := range acked {
				switch {
				case k.dk.KeyARN == changing:
				case k.destroyed:
					_, err := after.Open(ctx, k.dk.Wrapped, nil)
					refused(t, err, errs.NotFound)
				default:
					opens(t, after, k.dk, nil)
				}
			}
		}
		m.clones = nil
	}
	m.clones = nil
	for i := range 60 {
		if i%3 == 2 {
			k := &acked[rng.IntN(len(acked))]
			changing = k.dk.KeyARN
			if err := r.DestroyOwned(ctx, k.dk.KeyARN); err != nil {
				t.Fatal(err)
			}
			check()
			k.destroyed, changing = true, ""
		} else {
			arn, err := r.CreateOwned(ctx, "x")
			if err != nil {
				t.Fatal(err)
			}
			check()
			acked = append(acked, made{dk: dataKey(t, r, arn, nil)})
		}
		m.cut()
		check()
	}
	return states
}

// A write that fails anywhere changes nothing that is in force, and a restart finds the old state or the new one, whole.
func TestFailedWrites(t *testing.T) {
	for _, c := range []struct {
		ops disktest.Op
		err error
	}{{disktest.Writes, syscall.ENOSPC}, {disktest.Syncs, syscall.EIO}} {
		for n := 1; ; n++ {
			m := disktest.NewMem()
			f := &disktest.Fault{FS: m, Ops: c.ops, Err: c.err}
			r, err := keyring.OpenFS(f, nil, keyring.Config{})
			if err != nil {
				t.Fatal(err)
			}
			arn := create(t, r)
			dk := dataKey(t, r, arn, nil)
			f.Arm(n)
			err = r.SetEnabled(arn, false)
			if !f.Fired() {
				if n < 4 {
					t.Errorf("only %d places could fail", n-1)
				}
				break
			}
			refused(t, err, errs.Unavailable)
			opens(t, r, dk, nil)
			if c.ops == disktest.Syncs {
				refused(t, r.SetEnabled(arn, false), errs.Unavailable) // no retry after a failed sync
			}
			after, err := keyring.OpenFS(m, nil, keyring.Config{})
			if err != nil {
				t.Fatal(err)
			}
			if k, err := after.Describe(arn); err != nil || k.State != keyring.Enabled && k.State != keyring.Disabled {
				t.Errorf("after a restart: %+v, %v", k, err)
			}
		}
	}
}

func FuzzDecrypt(f *testing.F) {
	r, err := keyring.OpenFS(disktest.NewMem(), nil, keyring.Config{})
	if err != nil {
		f.Fatal(err)
	}
	dk, err := r.DataKey(ctx, key.Ref{})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(dk.Wrapped)
	f.Add([]byte{1})
	f.Fuzz(func(t *testing.T, b []byte) {
		if _, err := r.Open(ctx, b, nil); err == nil && !bytes.Equal(b, dk.Wrapped) {
			t.Error("a made-up ciphertext opened")
		}
	})
}

// Each flipped bit of the root key's file is told, those of its line's end and of the padding too.
func TestFlippedRootKey(t *testing.T) {
	dir := t.TempDir()
	r, err := keyring.Open(dir, nil, keyring.Config{})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "root.key")
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for bit := range len(whole) * 8 {
		b := bytes.Clone(whole)
		b[bit/8] ^= 1 << (bit % 8)
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		if n, faults := keyring.Verify(dir, nil); len(faults) == 0 || n > 0 {
			t.Errorf("bit %d of byte %d of %d: %d keys, %v", bit%8, bit/8, len(b), n, faults)
		}
	}
	if err := os.WriteFile(path, whole, 0o600); err != nil {
		t.Fatal(err)
	}
	if n, faults := keyring.Verify(dir, nil); len(faults) > 0 || n != 1 {
		t.Errorf("put back: %d keys, %v", n, faults)
	}
}
