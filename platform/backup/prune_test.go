package backup_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/galen-health/galen/platform/backup"
	"github.com/galen-health/galen/platform/blob"
	"github.com/galen-health/galen/platform/errs"
)

// bucket is a folder that is not held by a lock, and may break: after so many removals each fails.
type bucket struct {
	*backup.Folder
	left   int // removals; < 0 = as many as are asked for
	closed bool
}

func (b *bucket) Close() error {
	if b.closed {
		return nil
	}
	b.closed = true
	return b.Folder.Close()
}

var errCut = errors.New("cut off")

func (b *bucket) Remove(ctx context.Context, name string) error {
	if strings.HasPrefix(name, "leases/") {
		return b.Folder.Remove(ctx, name)
	}
	if b.left == 0 {
		return errCut
	}
	b.left--
	return b.Folder.Remove(ctx, name)
}

func openBucket(t *testing.T, dir string, left int) *bucket {
	t.Helper()
	f, err := backup.OpenFolder(dir)
	if err != nil {
		t.Fatal(err)
	}
	b := &bucket{Folder: f, left: left}
	t.Cleanup(func() { _ = b.Close() }) // it may be closed
	return b
}

// points backs up a stand a few times, each with a blob of its own and one that goes before the next, and returns the blobs by point.
func severalPoints(t *testing.T, s *stand, dir string, n int) (reports []backup.Report, own []string) {
	t.Helper()
	s.blob(t, "of all")
	for i := range n {
		own = append(own, s.blob(t, fmt.Sprint("of point ", i)))
		s.fill(t, 200, fmt.Sprint("of point ", i))
		reports = append(reports, take(t, s, dir))
		if err := s.blobs.Delete(t.Context(), blob.ID(own[i])); err != nil {
			t.Fatal(err)
		}
	}
	return reports, own
}

func whole(t *testing.T, s *stand, dir string, points int64) {
	t.Helper()
	n, _, err := backup.Check(t.Context(), backup.ReadFolder(dir), s.keys, func(f string) { t.Error(f) }, func(backup.Progress) {})
	if err != nil || n != points {
		t.Errorf("%d points are whole, want %d; %v", n, points, err)
	}
}

func prune(t *testing.T, s *stand, place backup.Place, keep backup.Keep, dry bool) (backup.Pruned, error) {
	t.Helper()
	return backup.Prune(t.Context(), place, s.keys, keep, dry, func(backup.Progress) {})
}

func filesIn(t *testing.T, dir string) (names []string) {
	t.Helper()
	if err := backup.ReadFolder(dir).List(t.Context(), "", func(name string) error { names = append(names, name); return nil }); err != nil {
		t.Fatal(err)
	}
	slices.Sort(names)
	return names
}

// A prune removes the points that no rule keeps and what only they name; what is left is whole, and restores.
func TestPrune(t *testing.T) {
	s, dir := newStand(t), t.TempDir()
	reports, own := severalPoints(t, s, dir, 5)
	before := filesIn(t, dir)
	for _, dry := range []bool{true, false} {
		place := openBucket(t, dir, -1)
		done, err := prune(t, s, place.Folder, backup.Keep{Last: 1, Since: reports[3].Time}, dry)
		if err != nil || len(done.Points) != 3 || done.Kept != 2 || done.Blobs != 3 || done.Chunks == 0 || done.Points[0] != reports[0].Point {
			t.Fatalf("dry %v: %+v, %v", dry, done, err)
		}
		if dry && !slices.Equal(filesIn(t, dir), before) {
			t.Error("a dry run changed the backup")
		}
		if err := place.Close(); err != nil {
			t.Fatal(err)
		}
	}
	whole(t, s, dir, 2)
	for i, id := range own {
		_, err := os.Stat(filepath.Join(dir, "blobs", id[:2], id))
		if gone := errors.Is(err, os.ErrNotExist); gone != (i < 3) {
			t.Errorf("the blob of point %d: gone is %v", i, gone)
		}
	}
	if names := filesIn(t, dir); len(names) >= len(before) {
		t.Errorf("%d files of %d are left", len(names), len(before))
	}
	place := openBucket(t, dir, -1)
	again, err := prune(t, s, place.Folder, backup.Keep{Last: 2}, false)
	if err != nil || len(again.Points)+int(again.Chunks+again.Blobs) != 0 {
		t.Errorf("a second prune removes %+v, %v", again, err)
	}
	if _, err := prune(t, s, place.Folder, backup.Keep{}, false); !errs.Is(err, errs.Invalid) {
		t.Errorf("a prune of all points: %v", err)
	}
	if err := place.Close(); err != nil {
		t.Fatal(err)
	}
	s.fill(t, 200, "after it")
	take(t, s, dir) // it goes on
	whole(t, s, dir, 3)
}

// Cut off after any number of removals, the points that are left are whole, and the next prune ends the work.
func TestPruneIsCutOff(t *testing.T) {
	s, dir := newStand(t), t.TempDir()
	severalPoints(t, s, dir, 4)
	pristine := filepath.Join(t.TempDir(), "pristine")
	if err := os.CopyFS(pristine, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	var end []string
	for left := 0; ; left++ {
		at := filepath.Join(t.TempDir(), "backup")
		if err := os.CopyFS(at, os.DirFS(pristine)); err != nil {
			t.Fatal(err)
		}
		place := openBucket(t, at, left)
		_, err := prune(t, s, place, backup.Keep{Last: 1}, false)
		if err != nil && !errors.Is(err, errCut) {
			t.Fatal(err)
		}
		points := 0
		for _, n := range filesIn(t, at) {
			if strings.HasPrefix(n, "points/") {
				points++
			}
			if strings.HasPrefix(n, "leases/") {
				t.Errorf("after %d removals the lease is left", left)
			}
		}
		if want := max(1, 4-left); points != want {
			t.Fatalf("after %d removals %d points are left, want %d", left, points, want)
		}
		whole(t, s, at, int64(points))
		place.left = -1
		if _, err := prune(t, s, place, backup.Keep{Last: 1}, false); err != nil {
			t.Fatal(err)
		}
		whole(t, s, at, 1)
		if names := filesIn(t, at); end == nil {
			end = names
		} else if !slices.Equal(names, end) {
			t.Fatalf("after %d removals and another prune other files are left than after a whole one", left)
		}
		if err := place.Close(); err != nil {
			t.Fatal(err)
		}
		if err == nil {
			t.Logf("a prune of %d removals was cut off after each", left)
			return
		}
	}
}

// What cannot be read may need anything: a prune that must keep a damaged point removes nothing. A damaged point that goes is no hindrance.
func TestPruneOfWhatIsDamaged(t *testing.T) {
	s, dir := newStand(t), t.TempDir()
	reports, _ := severalPoints(t, s, dir, 3)
	name := filepath.Join(dir, reports[1].Point)
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)-1] ^= 1
	if err := os.WriteFile(name, b, 0o600); err != nil {
		t.Fatal(err)
	}
	before := filesIn(t, dir)
	place := openBucket(t, dir, -1)
	if _, err := prune(t, s, place.Folder, backup.Keep{Last: 2}, false); !errs.Is(err, errs.Corrupt) {
		t.Errorf("a prune that keeps a damaged point: %v", err)
	}
	if !slices.Equal(filesIn(t, dir), before) {
		t.Error("it removed something")
	}
	if _, err := prune(t, s, place.Folder, backup.Keep{Last: 1}, false); err != nil {
		t.Errorf("a prune of a damaged point: %v", err)
	}
	whole(t, s, dir, 1)
}

// Sealed root keys go with the last point that names them; where a point does not say, none goes.
func TestPruneOfRoots(t *testing.T) {
	s, dir := newStand(t), t.TempDir()
	at := func(root string) backup.Report {
		t.Helper()
		place := openBucket(t, dir, -1)
		defer place.Close() //nolint:errcheck // let go for the next
		src := s.source()
		src.Roots = map[string][]byte{"root.passphrase": []byte(root)}
		s.put(t, "test.kept", "r", root)
		rep, err := backup.Take(t.Context(), src, place.Folder)
		if err != nil {
			t.Fatal(err)
		}
		return rep
	}
	at("first")
	at("second")
	at("second")
	place := openBucket(t, dir, -1)
	done, err := prune(t, s, place.Folder, backup.Keep{Last: 2}, false)
	if err != nil || done.Roots != 1 {
		t.Errorf("%+v, %v", done, err)
	}
	roots, err := backup.Roots(t.Context(), place)
	if err != nil || len(roots) != 1 || string(roots[0].Body) != "second" {
		t.Errorf("roots: %v, %v", roots, err)
	}
}

// Where no lock holds a place, a backup and a prune do not run beside one another; backups do. Who was killed is passed over after a while, and who stood still and was
// passed over finds out.
func TestPruneBesideABackup(t *testing.T) {
	defer backup.Hurry(20*time.Millisecond, 400*time.Millisecond)()
	s, dir := newStand(t), t.TempDir()
	severalPoints(t, s, dir, 2)
	place := openBucket(t, dir, -1)
	ctx := t.Context()

	still, release, err := backup.HoldAs(ctx, place, "backup")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := prune(t, s, place, backup.Keep{Last: 1}, false); !errs.Is(err, errs.Conflict) {
		t.Errorf("a prune beside a backup: %v", err)
	}
	if _, err := backup.Take(ctx, s.source(), place); err != nil {
		t.Errorf("a backup beside a backup: %v", err)
	}
	if err := errors.Join(still(ctx), release(ctx)); err != nil {
		t.Error(err)
	}

	_, release, err = backup.HoldAs(ctx, place, "prune")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := backup.Take(ctx, s.source(), place); !errs.Is(err, errs.Conflict) {
		t.Errorf("a backup beside a prune: %v", err)
	}
	if _, err := prune(t, s, place, backup.Keep{Last: 1}, false); !errs.Is(err, errs.Conflict) {
		t.Errorf("a prune beside a prune: %v", err)
	}
	if err := release(ctx); err != nil {
		t.Fatal(err)
	}

	beats, stop := context.WithCancel(ctx)
	still, _, err = backup.HoldAs(beats, place, "backup")
	if err != nil {
		t.Fatal(err)
	}
	stop() // as if it had been killed, or stood still
	time.Sleep(50 * time.Millisecond)
	if _, err := prune(t, s, place, backup.Keep{Last: 1}, false); err != nil {
		t.Errorf("a prune after a backup was killed: %v", err)
	}
	if err := still(ctx); !errs.Is(err, errs.Conflict) {
		t.Errorf("the backup that stood still is told %v", err)
	}
	whole(t, s, dir, 1)
	for _, n := range filesIn(t, dir) {
		if strings.HasPrefix(n, "leases/") {
			t.Errorf("%s is left", n)
		}
	}
}
