package pebble_test

import (
	"context"
	"math/rand/v2"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/galen-health/galen/platform/disk/disktest"
	"github.com/galen-health/galen/platform/key"
	"github.com/galen-health/galen/platform/record/pebble"
)

const noSpace = syscall.ENOSPC

// openOn opens a store on a file system in memory, with small tables, so that logs turn over, tables are flushed and compacted all the time.
func openOn(t *testing.T, fs vfs.FS, keys key.Ring) *pebble.Store {
	t.Helper()
	s, err := pebble.Open("records", keys, pebble.Options{FS: fs}.MemTable(64<<10))
	if err != nil {
		t.Fatal(err)
	}
	if err := declare(s); err != nil {
		t.Fatal(err)
	}
	return s
}

// A power cut keeps what was synced and any part of what was not. At random moments of the workload the disk is cloned as a cut could leave it, and
// the clone is opened: what was acknowledged before the cut is there, whole. 300 cuts, or $GALEN_CRASH_CUTS; a
// disk lives through 60.
func TestPowerCut(t *testing.T) {
	keys := ring(t, t.TempDir()+"/keys")
	rng := rand.New(rand.NewPCG(3, 4))
	cuts := disktest.Rounds(t, disktest.Cuts, 300)
	fs := vfs.NewCrashableMem()
	total, acknowledged := 0, 0
	for made := 0; made < cuts; {
		if made%60 == 0 {
			fs = vfs.NewCrashableMem()
		}
		// One life: work, and cuts meanwhile; then the last clone is the disk of the next life.
		s := openOn(t, fs, keys)
		var mu sync.Mutex
		var acked [writers]int
		ctx, stop := context.WithCancel(context.Background())
		ended := make(chan error, 1)
		go func() {
			ended <- work(ctx, s, func(w, n int) {
				mu.Lock()
				defer mu.Unlock()
				acked[w] = n
				acknowledged++
			})
		}()
		type cut struct {
			fs    *vfs.MemFS
			acked [writers]int
		}
		var clones []cut
		for range 6 {
			time.Sleep(time.Duration(rng.IntN(12)) * time.Millisecond)
			mu.Lock()
			before := acked
			mu.Unlock()
			clones = append(clones, cut{fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: rng.IntN(101), RNG: rng}), before})
		}
		stop()
		if err := <-ended; err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		for i, c := range clones {
			made++
			s := openOn(t, c.fs, keys)
			total = inspect(t, s, c.acked)
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			if t.Failed() {
				t.Fatalf("cut %d of this life", i)
			}
		}
		fs = clones[len(clones)-1].fs
	}
	if acknowledged == 0 {
		t.Fatal("no step was acknowledged: the test proves nothing")
	}
	t.Logf("%d power cuts, %d acknowledged steps, %d in the last state, 0 lost", cuts, acknowledged, total)
}

// A cut while the store is being made or opened leaves a folder that opens.
func TestPowerCutWhileOpening(t *testing.T) {
	keys := ring(t, t.TempDir()+"/keys")
	rng := rand.New(rand.NewPCG(5, 6))
	for range disktest.Rounds(t, disktest.Cuts, 300) / 10 {
		fs := vfs.NewCrashableMem()
		opened := make(chan *pebble.Store)
		go func() { opened <- openOn(t, fs, keys) }()
		time.Sleep(time.Duration(rng.IntN(4000)) * time.Microsecond)
		clone := fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: rng.IntN(101), RNG: rng})
		if err := (<-opened).Close(); err != nil {
			t.Fatal(err)
		}
		s := openOn(t, clone, keys)
		inspect(t, s, [writers]int{})
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
