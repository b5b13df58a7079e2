package audit_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/galen-health/galen/platform/audit"
	"github.com/galen-health/galen/platform/errs"
)

// refused appends until the log says no, and returns how it does; what was acknowledged until then counts.
func refused(t *testing.T, m *audit.Merkle) (acknowledged int, err error) {
	t.Helper()
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if err = m.Append(ctx, &audit.Entry{Name: "After"}); err != nil {
			return acknowledged, err
		}
		acknowledged++
	}
	t.Fatal("the log takes entries although a part of it is gone")
	return
}

// A part of the log's folder goes while it is written to: the process goes on, entries are refused for good and with a reason, nothing that is left is written over, and when the part is
// back, a start goes on with all that was acknowledged.
func TestPartsThatGo(t *testing.T) {
	for _, part := range []string{".", "log", "log/.state", "log/.state/treeState", "log/.state/treeState.lock", "journal", "log/tile"} {
		t.Run(strings.ReplaceAll(part, "/", "-"), func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			r := ring(t, dir)
			m := open(t, dir, r)
			fill(t, m, 300)
			if err := m.Publish(ctx); err != nil {
				t.Fatal(err)
			}
			whole := filepath.Join(dir, "audit")
			path, aside := filepath.Join(whole, part), filepath.Join(dir, "aside")
			if err := os.Rename(path, aside); err != nil {
				t.Fatal(err)
			}
			if part == "log/tile" || part == "journal" { // not missed by name: the tree makes folders anew, the journal has its own by hand
				if err := m.Append(ctx, &audit.Entry{Name: "Last"}); err != nil {
					t.Fatal(err)
				}
				_ = m.Close(ctx) // it may find a part missing
				if err := os.RemoveAll(path); err != nil {
					t.Fatal(err)
				}
			} else {
				n, err := refused(t, m)
				if !errs.Is(err, errs.Unavailable) && !errs.Is(err, errs.Corrupt) || !strings.Contains(err.Error(), "audit log") || m.Err() == nil {
					t.Errorf("%d more were taken, then: %v; %v", n, err, m.Err())
				}
				if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
					t.Errorf("it was made anew: %v", err)
				}
				_ = m.Close(ctx)
			}
			if err := os.Rename(aside, path); err != nil {
				t.Fatal(err)
			}
			m = open(t, dir, r)
			if size, err := m.Size(ctx); err != nil || size < 301 {
				t.Errorf("put back: %d entries, %v", size, err)
			}
			closed(t, m)
			if report, err := audit.Verify(ctx, whole, "", nil); err != nil || report.Size < 301 {
				t.Errorf("put back: %d entries, %v", report.Size, err)
			}
		})
	}
}

// A journal whose files were deleted keeps nothing, so it takes nothing.
func TestDeletedJournal(t *testing.T) {
	dir := t.TempDir()
	m := open(t, dir, ring(t, dir))
	fill(t, m, 10)
	if err := os.RemoveAll(filepath.Join(dir, "audit")); err != nil {
		t.Fatal(err)
	}
	err := m.Append(ctx, &audit.Entry{Name: "After"})
	if !errs.Is(err, errs.Unavailable) || !strings.Contains(err.Error(), "nothing is served without it") {
		t.Errorf("an entry after its file was deleted: %v", err)
	}
	if err := m.Append(ctx, &audit.Entry{Name: "After"}); err == nil {
		t.Error("another entry is taken")
	}
	_ = m.Close(ctx)
}
