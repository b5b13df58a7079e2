package crash_test

import (
	"context"
	"io"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"sort"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/galen-health/galen/app"
	"github.com/galen-health/galen/platform/backup"
	"github.com/galen-health/galen/platform/disk/disktest"
	"github.com/galen-health/galen/test/galen"
)

// harmless are the files whose damage may change nothing, with the reason why; the test fails on any other flip that is not found.
var harmless = map[string]string{
	"audit/log/.state/gcState": "a number below the log's size: where the removal of replaced partial tiles goes on. A wrong one removes nothing that is part of the log",
}

var numbers = regexp.MustCompile(`[0-9a-f]{32}|[0-9]+`)

// kindOf is a file's path without numbers and ids.
func kindOf(path string) string {
	if strings.HasPrefix(path, "blobs/") {
		return "blobs/N/N" // its folder is two letters of the id
	}
	return numbers.ReplaceAllString(path, "N")
}

// target is a file of a data folder that may be damaged.
type target struct {
	name string
	size int64
}

// targets are the files of a data folder that have bytes, in the order in which bits are chosen of them.
type targets struct {
	files []target
	kinds []string
	of    map[string][]target
	bytes int64
}

func targetsOf(t *testing.T, dir string) *targets {
	t.Helper()
	a := &targets{of: map[string][]target{}}
	if err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil || info.Size() == 0 {
			return err
		}
		f := target{filepath.ToSlash(rel), info.Size()}
		a.files, a.bytes = append(a.files, f), a.bytes+f.size
		a.of[kindOf(f.name)] = append(a.of[kindOf(f.name)], f)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	for k := range a.of {
		a.kinds = append(a.kinds, k)
	}
	sort.Strings(a.kinds)
	return a
}

// pick chooses the file of flip i: in turn one of each kind, each file, and by size.
func (a *targets) pick(i int) target {
	switch i % 3 {
	case 0:
		of := a.of[a.kinds[i/3%len(a.kinds)]]
		return of[rand.IntN(len(of))]
	case 1:
		return a.files[i/3%len(a.files)]
	}
	at := rand.Int64N(a.bytes)
	for _, f := range a.files {
		if at -= f.size; at < 0 {
			return f
		}
	}
	panic("the sizes do not add up")
}

// memory is a folder in memory where there is one: these tests copy a data folder for each flip.
func memory(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "galen")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// copied makes to a copy of the folder from, whatever was there.
func copied(t *testing.T, from, to string) {
	t.Helper()
	if err := os.RemoveAll(to); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
}

// flipped changes one random bit of a file.
func flipped(t *testing.T, path string) (at, bit int, b []byte) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	at, bit = rand.IntN(len(b)), rand.IntN(8)
	b[at] ^= 1 << bit
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return at, bit, b
}

// verifiedHere is what galen verify does, in this process: a process for each flip would make ten thousand of them a matter of hours. The error is that it could not
// verify; a folder that cannot be verified is not whole either.
func verifiedHere(t *testing.T, dir string) (faults []string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	_, err := app.Verify(ctx, app.Config{DataDir: dir, Addr: "127.0.0.1:8484", Account: galen.Account, Region: galen.Region}, "test", slog.New(slog.NewTextHandler(io.Discard, nil)),
		app.VerifyOptions{Fault: func(f app.Fault) { faults = append(faults, f.String()) }, Progress: func(backup.Progress) {}})
	if ctx.Err() != nil {
		t.Fatal("a verification hangs")
	}
	if err != nil {
		faults = append(faults, err.Error())
	}
	return faults
}

// lived makes two data folders of a mixed load in several lives of a server: one whose server was stopped, and one whose server was killed in the middle of it. What the load has
// stored in the latter is the most that is in either; at tells how much of it was there at the stop.
func lived(t *testing.T, g *galen.Server) (stopped, killed string, l *load, at []int) {
	t.Helper()
	g.Run()
	l = newLoad(t, g)
	l.growth = 2000 // each flip reads all of it
	for range 3 {   // partial tiles of several widths, logs and tables that others replace
		var all sync.WaitGroup
		for i := range l.writers {
			all.Go(func() {
				w := &l.writers[i]
				for range 4 {
					w.tried = w.acked + 1
					if err := w.write(t.Context(), w.tried); err != nil {
						t.Errorf("%s, step %d: %v", w.name, w.tried, err)
						return
					}
					w.acked = w.tried
				}
			})
		}
		all.Wait()
		g.Stop()
		if t.Failed() {
			t.FailNow()
		}
		g.Run()
	}
	g.Stop()
	for _, w := range l.writers {
		at = append(at, w.acked)
	}
	base := memory(t)
	stopped, killed = filepath.Join(base, "stopped"), filepath.Join(base, "killed")
	copied(t, g.Dir, stopped)
	g.Run()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	time.AfterFunc(300*time.Millisecond, func() { g.Kill(); cancel() })
	l.run(ctx, t)
	<-ctx.Done()
	g.Run()
	for i := range l.writers {
		w := &l.writers[i]
		w.acked = w.check(t, w.acked, w.tried)
		w.tried = w.acked + 1
		if err := w.write(t.Context(), w.tried); err != nil {
			t.Fatal(err)
		}
		w.acked = w.tried
	}
	g.Kill() // and again, with nothing of a caller's in the air
	copied(t, g.Dir, killed)
	return stopped, killed, l, at
}

// One flipped bit anywhere in a data folder is found by galen verify, and never served: of a sample a server is started on the damaged folder, and each answer is
// right, or an error. 60 flips, or $GALEN_CRASH_FLIPS.
func TestFlippedBits(t *testing.T) {
	if os.Getenv("GALEN_TEST_RECORDS") == "postgres" {
		t.Skip("a copy of the folder lacks the records, whose files are PostgreSQL's; it has checksums of its own")
	}
	t.Parallel()
	g := galen.New(t, filepath.Join(memory(t), "data"), "--log-level", "error")
	stopped, killed, l, at := lived(t, g)
	n := disktest.Rounds(t, disktest.Flips, 60)
	t.Run("killed", func(t *testing.T) { flip(t, g, killed, l, n/2) })
	for i := range l.writers {
		l.writers[i].acked = at[i]
	}
	t.Run("stopped", func(t *testing.T) { flip(t, g, stopped, l, n/2) })
}

// flip damages copies of a whole folder.
func flip(t *testing.T, g *galen.Server, whole string, l *load, n int) {
	files := targetsOf(t, whole)
	dir := filepath.Join(memory(t), "damaged")
	copied(t, whole, dir)
	if faults := verifiedHere(t, dir); len(faults) > 0 {
		t.Fatalf("an unchanged copy: %v", faults)
	}
	copied(t, whole, g.Dir)
	g.Run()
	all := readable(t, l)
	g.Kill()
	found, silent, processes, served := 0, map[string]int{}, 0, outcome{}
	for i := range n {
		f := files.pick(i)
		copied(t, whole, dir)
		at, bit, damaged := flipped(t, filepath.Join(dir, f.name))
		if i%20 == 19 { // and a server on it, before a verification mends what can be mended
			copied(t, dir, g.Dir)
			served.add(all.answers(t, g, f.name))
		}
		process := i%100 == 10
		var told bool
		if process {
			processes++
			out, err := exec.Command(galen.Binary(t), "verify", "--data-dir", dir).CombinedOutput()
			if told = err != nil; strings.Contains(string(out), "goroutine ") {
				t.Errorf("%s, bit %d of byte %d of %d: %s", f.name, bit, at, len(damaged), out)
			}
		} else {
			told = len(verifiedHere(t, dir)) > 0
		}
		switch {
		case told:
			found++
		case harmless[kindOf(f.name)] != "":
			silent[kindOf(f.name)]++
		case filepath.Base(whole) == "killed" && kindOf(f.name) == "records/db/N.log":
			// A commit of the server's own that was being written at the kill and acknowledged to nobody: its damage looks like the torn end that it may as well have. All
			// that was acknowledged must be there.
			copied(t, whole, g.Dir)
			if err := os.WriteFile(filepath.Join(g.Dir, f.name), damaged, 0o600); err != nil {
				t.Fatal(err)
			}
			o := all.answers(t, g, f.name)
			if served.add(o); o.right != len(all.list) {
				t.Errorf("%s, bit %d of byte %d of %d: not found, and %s", f.name, bit, at, len(damaged), o)
			}
			silent["the end of "+kindOf(f.name)]++
		default:
			t.Errorf("%s, bit %d of byte %d of %d: not found", f.name, bit, at, len(damaged))
		}
	}
	t.Logf("%d flipped bits in %d files of %d kinds: %d found (%d by a process), without effect %v; %s", n, len(files.files), len(files.kinds), found, processes, silent, served)
}
