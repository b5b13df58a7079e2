package app

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/galen-health/galen/platform/errs"
)

// A start that ends before it serves leaves a folder that the next one takes up, and that one shows credentials, since nobody may have seen the first. From the first serving on the
// folder is one to be whole.
func TestFirstStart(t *testing.T) {
	ctx, log := context.Background(), slog.New(slog.NewTextHandler(io.Discard, nil))
	cfg := Config{DataDir: filepath.Join(t.TempDir(), "data"), Addr: "127.0.0.1:0", Account: "000000000000", Region: "us-east-1"}
	start := func() *App {
		t.Helper()
		a, err := New(ctx, cfg, "test", log)
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	close := func(a *App) {
		t.Helper()
		if err := a.Close(); err != nil {
			t.Fatal(err)
		}
	}
	a := start()
	made := a.Generated
	close(a)
	if made.AccessKeyID == "" {
		t.Fatal("no credentials were made")
	}
	_, err := Verify(ctx, cfg, "test", log, VerifyOptions{})
	if !errs.Is(err, errs.Conflict) || !strings.Contains(err.Error(), "has not come to serve") {
		t.Errorf("verified before it served: %v", err)
	}
	for _, missing := range [][]string{{"audit"}, {"audit", "blobs"}, {"audit", "blobs", "records/TAIL", "records/db"}, {"audit", "blobs", "records"}, {"audit", "blobs", "records", "keys/ring.b"}, {"audit", "blobs", "records", "keys"}} {
		for _, name := range missing { // as if it had been cut off before it made them
			if err := os.RemoveAll(filepath.Join(cfg.DataDir, name)); err != nil {
				t.Fatal(err)
			}
		}
		close(start())
	}
	a = start()
	shown := a.Generated
	if shown.AccessKeyID == "" || shown == made {
		t.Errorf("the second start shows %v", shown.AccessKeyID)
	}
	serving, stop := context.WithCancel(ctx)
	stop()
	if err := a.Serve(serving); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(cfg.DataDir, firstStartFile)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the note stays: %v", err)
	}
	a = start()
	if a.Generated != (Credentials{}) || a.Root != shown {
		t.Errorf("a start after the first serving shows credentials again, or has others")
	}
	close(a)
	for _, name := range []string{"audit", "blobs", "records/db", "records/KEY", "records", "keys"} {
		aside := filepath.Join(t.TempDir(), "aside")
		if err := os.Rename(filepath.Join(cfg.DataDir, name), aside); err != nil {
			t.Fatal(err)
		}
		if a, err := New(ctx, cfg, "test", log); !errs.Is(err, errs.Corrupt) {
			t.Fatalf("without %s: %v, %v", name, a, err)
		}
		if err := os.Rename(aside, filepath.Join(cfg.DataDir, name)); err != nil {
			t.Fatal(err)
		}
	}
	close(start())
}
